//! What `authorize` prints for one server: the line, the block, and what is to be known about them. Pure, but for a look
//! whether a key file is there.

use std::fmt::Write;

use tunnel_engine::auth::{CertificateInfo, Credential};
use tunnel_engine::spec::Route;

use super::shared::{SharedLogin, authorized};
use super::sshd_config;

/// What the texts need beside the login.
pub(super) struct ServerReport<'a> {
    pub(super) tunnel: &'a str,
    pub(super) shared: &'a SharedLogin,
    pub(super) from: &'a [String],
}

impl ServerReport<'_> {
    /// The lines of authorized_keys, each with the key in base64, by which other lines about it are found.
    pub(super) fn keyed_lines(&self) -> Vec<(String, String)> {
        let keyed = |key: &str| (key.split(' ').nth(1).unwrap_or(key).to_owned(), self.line(key, ""));
        authorized(&self.shared.credentials).into_iter().map(|credential| keyed(&credential.key)).collect()
    }

    /// For every tunnel that shows this key: sshd goes by the first line of it.
    fn line(&self, key: &str, first: &str) -> String {
        let (needs, tunnels) = self.shared.of_key(key);
        format!("{first}{} {key} tunneld-{}", sshd_config::options(&needs, self.from), tunnels.join(","))
    }

    pub(super) fn text(&self) -> String {
        let login = &self.shared.login;
        let destination = &login.session.destination;
        let (user, host, at) = (&destination.user, &destination.host, destination.host_port());
        let what = if login.is_jump_host { "jump host" } else { "server" };
        let mut text = format!("# Tunnel `{}`, {what} {at}, login `{user}`.\n", self.tunnel);
        text.push_str(&self.others());
        text.push_str("#\n");
        let lines = self.keyed_lines();
        if lines.is_empty() {
            let _ = writeln!(text, "# There is no key to authorize.{}", self.without_key());
        } else {
            let _ = writeln!(text, "# In ~{user}/.ssh/authorized_keys on {host}:");
            lines.iter().for_each(|(_, line)| text.push_str(&format!("{line}\n")));
        }
        let credentials = &self.shared.credentials;
        credentials.skipped.iter().for_each(|why| text.push_str(&format!("# not shown to the server: {why}\n")));
        for credential in &credentials.shown {
            if let Some(certified) = &credential.certified {
                text.push_str(&self.certificate(credential, certified));
            }
        }
        let alone = if lines.is_empty() {
            ""
        } else {
            "; without it the line\n# above limits this key, but where the server's own settings forbid a forward, it does not work"
        };
        let _ = writeln!(
            text,
            "#\n# And at the end of /etc/ssh/sshd_config there, which limits `{user}` whatever its key is{alone}. sshd goes by the\n\
             # first block of a login: where a tunnel of another config or machine logs in as `{user}`, leave the block out, or\n\
             # have one that permits what all of them need:"
        );
        let needs = self.shared.needs();
        if !needs.commands {
            let _ = writeln!(
                text,
                "# It is for a login that only tunnels use: with ForceCommand and MaxSessions no user gets a shell or runs a command as\n\
                 # `{user}` any more, whatever the key or password."
            );
        }
        text.push_str(&sshd_config::block(user, &needs));
        for note in &needs.notes {
            let _ = writeln!(text, "# note: {note}");
        }
        if let Route::Command(command) = &login.session.dial.via {
            let _ = writeln!(text, "# note: the way there is `{command}`: what that needs is not listed here");
        }
        text
    }

    /// That more is permitted than this tunnel needs.
    fn others(&self) -> String {
        let others = self.shared.others(self.tunnel);
        if others.is_empty() {
            return String::new();
        }
        format!(
            "# That login is also the one of `{}`. sshd goes by the first block of a login and by the first line of a key: the\n\
             # block permits what all of them need, the line what those with its key need. They take the place of earlier ones.\n",
            others.join("`, `")
        )
    }

    fn without_key(&self) -> String {
        let auth = &self.shared.login.session.auth;
        let named = auth.identities.iter().find(|identity| identity.explicit && !identity.path.exists());
        match (&auth.password, named) {
            (_, Some(missing)) => {
                format!(" Make it with `ssh-keygen -t ed25519 -N '' -f {}`.", missing.path.display())
            }
            (Some(_), None) => " It logs in with a password, which only the Match block limits.".to_owned(),
            (None, None) => " Make one with `ssh-keygen -t ed25519 -N ''`, and name it as `identity_file`.".to_owned(),
        }
    }

    fn certificate(&self, credential: &Credential, certified: &CertificateInfo) -> String {
        let principals = if certified.principals.is_empty() { String::new() } else { certified.principals.join(",") };
        let names = if principals.is_empty() { "any login".to_owned() } else { format!("`{principals}`") };
        let mut text = format!(
            "#\n# It shows the certificate {} first, for {names}. A server that believes its authority (TrustedUserCAKeys)\n\
             # needs no line; its limits are then the certificate's own and those of the Match block. Where authorized_keys is\n\
             # to name the authority, this line takes every certificate of it:\n",
            credential.source
        );
        let first = match principals.is_empty() {
            true => "cert-authority,".to_owned(),
            false => format!("cert-authority,principals=\"{principals}\","),
        };
        let _ = writeln!(text, "# {}", self.line(&certified.authority, &first));
        if !certified.forwards {
            text.push_str("# note: this certificate lacks permit-port-forwarding: no forward works with it\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tunnel_engine::auth::Credentials;
    use tunnel_engine::spec::IdentitySpec;

    use super::*;
    use crate::cli::authorize::needs::logins;
    use crate::cli::authorize::shared::LoginUse;
    use crate::config::{Overrides, load_text};

    fn credential(key: &str, named: bool, certified: Option<CertificateInfo>) -> Credential {
        Credential { source: format!("/{key}"), named, key: key.to_owned(), certified }
    }

    fn with(shown: Vec<Credential>, check: impl Fn(&ServerReport<'_>)) {
        let config = "[[tunnel]]\nname = \"t\"\nhost = \"u@h\"\nlocal_forward = [\"1:db:1\"]\n";
        let desired = load_text(Path::new("/c.toml"), config, &Overrides::default()).unwrap();
        let login = logins(&desired.tunnels[0]).remove(0);
        let keys = shown.iter().flat_map(|one| {
            let authority = one.certified.as_ref().map(|certified| certified.authority.clone());
            [Some(one.key.clone()), authority].into_iter().flatten()
        });
        let uses = vec![LoginUse { tunnel: "t".to_owned(), needs: login.needs.clone(), keys: keys.collect() }];
        let credentials = Credentials { shown, skipped: Vec::new() };
        check(&ServerReport { tunnel: "t", shared: &SharedLogin { login, credentials, uses }, from: &[] });
    }

    #[test]
    fn named_keys_have_a_line_each() {
        with(vec![credential("A", false, None), credential("B", true, None), credential("C", true, None)], |report| {
            let lines = report.keyed_lines();
            assert_eq!(lines.len(), 2);
            assert!(lines[0].1.ends_with(" B tunneld-t") && lines[1].1.ends_with(" C tunneld-t"), "{lines:?}");
        });
        with(vec![credential("A", false, None), credential("B", false, None)], |report| {
            assert_eq!(report.keyed_lines().len(), 1);
        });
    }

    #[test]
    fn all_but_lines_and_block_is_comment() {
        let certified = CertificateInfo { authority: "CA".into(), principals: vec!["u".into()], forwards: false };
        with(vec![credential("A", true, Some(certified)), credential("A", true, None)], |report| {
            let text = report.text();
            assert!(text.contains("# cert-authority,principals=\"u\",restrict,"), "{text}");
            assert!(text.contains("permit-port-forwarding: no forward"), "{text}");
            let bare: Vec<_> = text.lines().filter(|line| !line.starts_with(['#', ' '])).collect();
            assert_eq!(bare.len(), 2, "{text}");
            let limit =
                "# It is for a login that only tunnels use: with ForceCommand and MaxSessions no user gets a shell";
            assert!(
                text.contains(limit) && text.contains("`u` any more, whatever the key or password.\nMatch User u\n"),
                "{text}"
            );
            assert!(bare[0].starts_with("restrict,") && bare[1] == "Match User u", "{text}");
        });
        with(Vec::new(), |report| {
            let text = report.text();
            assert!(text.contains("no key to authorize") && !text.contains("line\n# above"), "{text}");
        });
    }

    #[test]
    fn missing_key_is_made_where_it_is_named() {
        with(Vec::new(), |report| {
            let mut login = report.shared.login.clone();
            let identity = IdentitySpec { path: "/none/key".into(), explicit: true };
            login.session.auth.identities = vec![identity];
            let shared = SharedLogin { login, credentials: Credentials::default(), uses: Vec::new() };
            let text = ServerReport { shared: &shared, ..*report }.text();
            assert!(
                text.contains("no key to authorize. Make it with `ssh-keygen -t ed25519 -N '' -f /none/key`."),
                "{text}"
            );
        });
    }
}
