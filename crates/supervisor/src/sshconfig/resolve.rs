//! The passes over the files, and the route: a jump host is a question of its own.

use std::net::IpAddr;

use super::facts::Facts;
use super::jump::{self, Hop};
use super::keyword::Meaning;
use super::library::Library;
use super::manners::Manners;
use super::options::Options;
use super::query::Query;
use super::refuse::refusals;
use super::resolved::{Resolved, Way};
use super::tokens::{Names, Tokens};
use super::walk::{Included, Walk};
use super::{forwards, settings};
use crate::config::{ConfigError, Place};

/// More servers in a row than anybody has: a chain this long bites its own tail.
const MOST_HOPS: usize = 8;

/// What ssh would do for this host.
///
/// # Errors
/// Everything that is wrong in the files, and every setting that would change the tunnel and cannot be followed.
pub fn resolve(query: &Query, library: &Library, facts: &dyn Facts) -> Result<Resolved, Vec<ConfigError>> {
    resolve_hop(query, library, facts, 0)
}

fn resolve_hop(
    query: &Query,
    library: &Library,
    facts: &dyn Facts,
    hops_behind: usize,
) -> Result<Resolved, Vec<ConfigError>> {
    let mut options = Options::default();
    query.given.iter().cloned().for_each(|setting| options.set(setting));
    let mut walk = Walk {
        facts,
        library,
        query,
        host: query.host.clone(),
        last_pass: false,
        wants_last_pass: false,
        options,
        errors: Vec::new(),
        remarks: query.remarks.clone(),
        files: Vec::new(),
        included: Included::default(),
    };
    walk.files();
    let host = match walk.current_host() {
        Ok(host) => normal(&host),
        Err(error) => {
            walk.errors.push(error);
            return Err(walk.errors);
        }
    };
    if walk.wants_last_pass {
        walk.host.clone_from(&host);
        walk.last_pass = true;
        walk.files();
    }
    let Walk { options, mut errors, mut files, mut remarks, .. } = walk;
    remarks.of_options(&options);

    let user = options.word("User").or(facts.user()).unwrap_or_default().to_owned();
    let port = options.word("Port").and_then(super::value::port).unwrap_or(22);
    if host.is_empty() || host.starts_with('-') || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let place = options.get("Hostname").map(|setting| setting.place.clone());
        let error = place.map(|place| {
            ConfigError::new(
                place,
                format!("`{host}` is not a host name or address"),
                "write the name or address to dial",
            )
        });
        errors.extend(error);
    }
    let mut way = Way::Direct;
    match route(&options) {
        Route::Direct | Route::Command(..) => {}
        Route::Jump(hops, place) => match jump_host(query, &hops, place, (&host, port, &user), hops_behind) {
            Ok(question) => match resolve_hop(&question, library, facts, hops_behind + 1) {
                Ok(jump) => {
                    files.extend(jump.files.iter().filter(|file| !files.contains(file)).cloned().collect::<Vec<_>>());
                    remarks.of_jump_host(&jump);
                    way = Way::Jump(Box::new(jump));
                }
                Err(more) => errors.extend(more),
            },
            Err(error) => errors.push(error),
        },
    }

    let alias = options.word("HostKeyAlias").map(str::to_ascii_lowercase);
    let names = Names {
        original: &query.host,
        host: &host,
        port,
        user: &user,
        key_alias: alias.as_deref().unwrap_or(&query.host),
        jump: &match &way {
            Way::Jump(jump) => jump.alias.clone(),
            Way::Direct | Way::Command(_) => String::new(),
        },
    };
    if let Route::Command(command, place) = route(&options) {
        match Tokens::of(&names, facts).only("hknpr").expand(command, None, place) {
            Ok(command) => way = Way::Command(command),
            Err(error) => errors.push(error),
        }
    }
    let tokens = Tokens::of(&names, facts);
    let mut read = settings::Reader { options: &options, tokens: &tokens, facts, errors: Vec::new() };
    let settings = read.settings();
    let manners = Manners::of(&options);
    let forwards = forwards::forwards(&mut read);
    errors.append(&mut read.errors);
    errors.extend(refusals(&options));
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Resolved {
        alias: query.host.clone(),
        host,
        user,
        port,
        way,
        settings,
        forwards,
        manners,
        passed_over: passed_over(&options),
        notes: remarks.notes,
        said_by_ssh: remarks.said_by_ssh,
        files,
    })
}

fn passed_over(options: &Options) -> Vec<&'static str> {
    let harmless = options.iter().map(|setting| setting.keyword).filter(|k| matches!(k.meaning, Meaning::Harmless));
    let mut names: Vec<_> = harmless.map(|keyword| keyword.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Names are the same in any case; of an address, another spelling than that of the case is made the usual one.
fn normal(host: &str) -> String {
    match host.parse::<IpAddr>().map(|address| address.to_string()) {
        Ok(usual) if usual.eq_ignore_ascii_case(host) => host.to_owned(),
        Ok(usual) => usual,
        Err(_) => host.to_ascii_lowercase(),
    }
}

enum Route<'a> {
    Direct,
    Jump(Vec<Hop>, &'a Place),
    Command(&'a str, &'a Place),
}

fn route(options: &Options) -> Route<'_> {
    if let Some(setting) = options.get("ProxyJump")
        && let Ok(Some(hops)) = jump::parse(&setting.rest)
    {
        return Route::Jump(hops, &setting.place);
    }
    match options.get("ProxyCommand") {
        Some(setting) if !setting.rest.eq_ignore_ascii_case("none") => Route::Command(&setting.rest, &setting.place),
        _ => Route::Direct,
    }
}

/// The question about the hop next to the server. What ssh hands on is the jump's own user and port, the hops before
/// it, and which file to read: no other option.
fn jump_host(
    query: &Query,
    hops: &[Hop],
    place: &Place,
    (host, port, user): (&str, u16, &str),
    hops_behind: usize,
) -> Result<Query, ConfigError> {
    let loops = |hop: &Hop| {
        hop.host == host && hop.port.unwrap_or(22) == port && hop.user.as_ref().is_none_or(|name| name == user)
    };
    let Some((last, before)) = hops.split_last() else {
        return Err(ConfigError::new(place.clone(), "there is no jump host", "name one, or write `none`"));
    };
    if loops(last) || hops_behind >= MOST_HOPS {
        let what = if loops(last) {
            format!("the jump host of `{}` is `{host}` itself", query.host)
        } else {
            format!("there are more than {MOST_HOPS} jump hosts")
        };
        let hint = "write `ProxyJump none` into the Host block of the jump host, above this line";
        return Err(ConfigError::new(place.clone(), what, hint));
    }
    let mut question = Query::new(last.host.clone(), query.files.clone());
    if let Some(user) = &last.user {
        question.give("User", user, place.clone())?;
    }
    if let Some(port) = last.port {
        question.give("Port", &port.to_string(), place.clone())?;
    }
    if !before.is_empty() {
        question.give("ProxyJump", &jump::join(before), place.clone())?;
    }
    Ok(question)
}
