//! The passes over the files, and the route: a jump host is a question of its own.

use std::net::IpAddr;

use tunnel_engine::spec::{Destination, numeric_host};

use super::host_facts::HostFacts;
use super::include_cache::FileCache;
use super::interactive::InteractiveOptions;
use super::jump::{self, ProxyJumpHost};
use super::keyword::Meaning;
use super::options::{OptionValue, Options};
use super::query::Query;
use super::refuse::refusals;
use super::resolved::{ProxyRoute, Resolved};
use super::tokens::{TokenNames, Tokens};
use super::walk::{Included, ReadPass};
use super::{forwards, settings};
use crate::spec::{ConfigError, SourceSpan};

/// Far above real chains of jump hosts: a chain this long is a loop.
const MAX_JUMP_HOSTS: usize = 8;

/// What ssh would do for this host.
///
/// # Errors
/// Everything that is wrong in the files, and every setting that would change the tunnel and cannot be followed.
pub fn resolve(query: &Query, library: &FileCache, facts: &dyn HostFacts) -> Result<Resolved, Vec<ConfigError>> {
    resolve_hop(query, library, facts, 0)
}

fn resolve_hop(
    query: &Query,
    library: &FileCache,
    facts: &dyn HostFacts,
    hops_behind: usize,
) -> Result<Resolved, Vec<ConfigError>> {
    let mut options = Options::default();
    query.given.iter().cloned().for_each(|setting| options.set(setting));
    let mut walk = ReadPass {
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
    let (user, port) = (walk.current_user().to_owned(), walk.current_port());
    let ReadPass { options, mut errors, mut files, mut remarks, .. } = walk;
    remarks.of_options(&options);

    if user.len() > Destination::MAX_USER {
        let what = format!("the user is longer than {} bytes", Destination::MAX_USER);
        errors.extend(options.get("User").map(|setting| setting.error(what, "write the login name on the server")));
    }
    if !Destination::is_host(&host) {
        let what = format!("`{host}` is not a host name or address");
        errors.extend(options.get("Hostname").map(|setting| setting.error(what, "write the name or address to dial")));
    }
    let alias = options.word("HostKeyAlias").map(str::to_ascii_lowercase);
    let key_alias = alias.as_deref().unwrap_or(&query.host);
    let names = TokenNames { original: &query.host, host: &host, port, user: &user, key_alias, jump: "" };
    let mut way = ProxyRoute::Direct;
    match route(&options) {
        ParsedRoute::Direct | ParsedRoute::Command(..) => {}
        ParsedRoute::Jump(hops, span) => match jump_host(query, hops, span, (&names, facts), hops_behind) {
            Ok(question) => match resolve_hop(&question, library, facts, hops_behind + 1) {
                Ok(jump) => {
                    files.extend(jump.files.iter().filter(|file| !files.contains(file)).cloned().collect::<Vec<_>>());
                    remarks.of_jump_host(&jump);
                    way = ProxyRoute::Jump(Box::new(jump));
                }
                Err(more) => errors.extend(more),
            },
            Err(error) => errors.push(error),
        },
    }

    let jump = match &way {
        ProxyRoute::Jump(jump) => jump.alias.clone(),
        ProxyRoute::Direct | ProxyRoute::Command(_) => String::new(),
    };
    let names = TokenNames { jump: &jump, ..names };
    if let ParsedRoute::Command(command, span) = route(&options) {
        match Tokens::of(&names, facts).only("hknpr").expand(command, None, span) {
            Ok(command) => way = ProxyRoute::Command(command),
            Err(error) => errors.push(error),
        }
    }
    let tokens = Tokens::of(&names, facts);
    let mut read = settings::OptionReader { options: &options, tokens: &tokens, facts, errors: Vec::new() };
    let settings = read.settings();
    let interactive = InteractiveOptions::of(&options);
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
        interactive,
        passed_over: passed_over(&mut options.iter()),
        options_passed_over: passed_over(&mut query.given.iter()),
        notes: remarks.notes,
        said_by_ssh: remarks.said_by_ssh,
        files,
    })
}

fn passed_over(options: &mut dyn Iterator<Item = &OptionValue>) -> Vec<&'static str> {
    let harmless = options.map(|setting| setting.keyword).filter(|k| matches!(k.meaning, Meaning::Harmless));
    let mut names: Vec<_> = harmless.map(|keyword| keyword.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Names are the same in any case; of an address, another spelling than that of the case is made the usual one.
fn normal(host: &str) -> String {
    match numeric_host(host) {
        Some(usual) => usual,
        None if host.parse::<IpAddr>().is_ok() => host.to_owned(),
        None => host.to_ascii_lowercase(),
    }
}

enum ParsedRoute<'a> {
    Direct,
    Jump(&'a str, &'a SourceSpan),
    Command(&'a str, &'a SourceSpan),
}

fn route(options: &Options) -> ParsedRoute<'_> {
    if let Some(setting) = options.get("ProxyJump")
        && !matches!(jump::parse(&setting.rest), Ok(None))
    {
        return ParsedRoute::Jump(&setting.rest, &setting.span);
    }
    match options.get("ProxyCommand") {
        Some(setting) if !setting.rest.eq_ignore_ascii_case("none") => {
            ParsedRoute::Command(&setting.rest, &setting.span)
        }
        _ => ParsedRoute::Direct,
    }
}

/// The question about the hop next to the server. What ssh hands on is the jump's own user and port, the hops before
/// it, and which file to read: no other option.
fn jump_host(
    query: &Query,
    hops: &str,
    span: &SourceSpan,
    (names, facts): (&TokenNames<'_>, &dyn HostFacts),
    hops_behind: usize,
) -> Result<Query, ConfigError> {
    let TokenNames { host, port, user, .. } = *names;
    let hops = Tokens::of(names, facts).only("hnpr").expand(hops, None, span)?;
    let hops = jump::parse(&hops).map_err(|bad| jump::error(&bad, span))?.unwrap_or_default();
    let loops = |hop: &ProxyJumpHost| {
        hop.host == host && hop.port.unwrap_or(22) == port && hop.user.as_ref().is_none_or(|name| name == user)
    };
    let Some((last, before)) = hops.split_last() else {
        return Err(ConfigError::new(span.clone(), "there is no jump host", "name one, or write `none`"));
    };
    if loops(last) || hops_behind >= MAX_JUMP_HOSTS {
        let what = if loops(last) {
            format!("the jump host of `{}` is `{host}` itself", query.host)
        } else {
            format!("there are more than {MAX_JUMP_HOSTS} jump hosts")
        };
        let hint = "write `ProxyJump none` into the Host block of the jump host, above this line";
        return Err(ConfigError::new(span.clone(), what, hint));
    }
    let mut question = Query::new(last.host.clone(), query.files.clone());
    if let Some(user) = &last.user {
        question.give("User", user, span.clone())?;
    }
    if let Some(port) = last.port {
        question.give("Port", &port.to_string(), span.clone())?;
    }
    if !before.is_empty() {
        question.give("ProxyJump", &jump::join(before), span.clone())?;
    }
    Ok(question)
}
