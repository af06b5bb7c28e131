//! The table of published recipes, and the program held to it: every line is read and translated.

use serde::Deserialize;
use tunnel_engine::spec::Forward;

use crate::autossh::argv::Dialect;
use crate::autossh::frontend::{Planned, StartPlan, plan};
use crate::autossh::monitor;
use crate::autossh::monitor_port::MonitorPort;
use crate::config;
use crate::import::{self, Invocation, UnitFile};

const TABLE: &str = include_str!("../../../../../tests/autossh/recipes.toml");

#[derive(Deserialize)]
struct RecipeTable {
    recipe: Vec<Recipe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    name: String,
    form: String,
    text: String,
    outcome: String,
    #[serde(default)]
    forwards: Vec<String>,
    #[serde(default)]
    monitor: String,
    #[serde(default)]
    background: bool,
    gate_time: Option<u64>,
    poll: Option<u64>,
    max_start: Option<u32>,
    #[serde(default)]
    says: String,
}

fn table() -> Vec<Recipe> {
    toml::from_str::<RecipeTable>(TABLE).unwrap().recipe
}

impl Recipe {
    fn invocation(&self) -> Invocation {
        match self.form.as_str() {
            "unit" => {
                let unit = UnitFile::of_text("autossh.service", &self.text);
                import::invocations_of_unit(&unit, &|_| None, &config::facts()).remove(0)
            }
            "shell" | "environment" | "cron" | "docker" => Invocation::find(&shlex::split(&self.text).unwrap()),
            other => panic!("{}: form {other}", self.name),
        }
    }

    /// As the face would, without the ssh_config of the account that runs the tests.
    fn planned(&self) -> Result<StartPlan, String> {
        let invocation = self.invocation();
        assert_eq!(invocation.dialect == Dialect::Ssh, self.name.contains("ssh itself"), "{}", self.name);
        let words = [vec!["-F".to_owned(), "none".to_owned()], invocation.words.clone()].concat();
        match plan(&words, &|name| invocation.variable(name), || None) {
            Ok(Planned::Tunnel(plan)) => Ok(*plan),
            Ok(Planned::Version) => Err("a version".to_owned()),
            Err(refusal) => Err(refusal.errors.join("; ")),
        }
    }
}

#[test]
fn there_are_fifty_recipes_of_every_form() {
    let table = table();
    assert!(table.len() >= 50, "{}", table.len());
    for form in ["shell", "environment", "cron", "docker", "unit"] {
        assert!(table.iter().any(|recipe| recipe.form == form), "{form}");
    }
}

#[test]
fn every_recipe_is_shown_in_the_documentation() {
    let shown = include_str!("../../../../../docs/autossh.md");
    for recipe in table() {
        assert!(shown.contains(&format!("\n| {} | `", recipe.name)), "{}", recipe.name);
    }
}

#[test]
fn every_recipe_has_the_outcome_that_the_table_says() {
    for recipe in table() {
        let name = &recipe.name;
        match (recipe.planned(), recipe.outcome.as_str()) {
            (Ok(plan), "tunnel") => holds(&recipe, &plan),
            (Err(error), "refused") => assert!(error.contains(&recipe.says), "{name}: {error}"),
            (Ok(_), outcome) => panic!("{name}: a tunnel, not {outcome}"),
            (Err(error), outcome) => panic!("{name}: {error}, not {outcome}"),
        }
    }
}

fn holds(recipe: &Recipe, plan: &StartPlan) {
    let name = &recipe.name;
    let show = |forward: &Forward| format!("{} {forward}", forward.kind.as_str());
    let own = monitor::forwards(plan.monitor);
    let (of_monitor, forwards): (Vec<_>, Vec<_>) = plan.spec.forwards.iter().partition(|f| own.contains(f));
    assert_eq!(of_monitor.len(), own.len(), "{name}");
    assert_eq!(forwards.iter().map(|forward| show(forward)).collect::<Vec<_>>(), recipe.forwards, "{name}");
    let monitor = match plan.monitor {
        MonitorPort::Off => "0".to_owned(),
        MonitorPort::Loop { port } => port.to_string(),
        MonitorPort::Echo { port, echo } => format!("{port}:{echo}"),
    };
    assert_eq!(monitor, recipe.monitor, "{name}");
    assert_eq!(plan.line.background, recipe.background, "{name}");
    let policy = &plan.spec.policy;
    let gate = recipe.gate_time.unwrap_or(if recipe.background { 0 } else { 30 });
    assert_eq!(policy.gate_time.as_secs(), gate, "{name}");
    assert_eq!(policy.poll.as_secs(), recipe.poll.unwrap_or(600), "{name}");
    assert_eq!(policy.max_start, recipe.max_start, "{name}");
}

#[test]
fn every_tunnel_recipe_imports_with_its_forwards() {
    let mut imported = 0;
    for recipe in table().into_iter().filter(|recipe| recipe.outcome == "tunnel") {
        let mut invocation = recipe.invocation();
        invocation.words.splice(0..0, ["-F".to_owned(), "none".to_owned()]);
        let text = import::of(&invocation, &config::facts()).unwrap_or_else(|error| panic!("{}: {error}", recipe.name));
        let loaded = config::load_text("printed.toml".as_ref(), &text, &Default::default());
        let desired = loaded.unwrap_or_else(|errors| panic!("{}: {text}\n{errors}", recipe.name));
        let show = |forward: &Forward| format!("{} {forward}", forward.kind.as_str());
        let mut forwards: Vec<_> = desired.tunnels[0].forwards.iter().map(show).collect();
        let mut wanted = recipe.forwards.clone();
        forwards.sort();
        wanted.sort();
        assert_eq!(forwards, wanted, "{}:\n{text}", recipe.name);
        imported += 1;
    }
    assert!(imported > 40, "{imported}");
}
