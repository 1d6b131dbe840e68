//! The account that runs the command, for the ledger: its name, as the system knows it, and the person behind
//! it.
//!
//! Several people use one account by sudo or doas. Those name their caller in variables, which that account
//! could set itself as well; the account that logged in is recorded by the kernel (`loginuid`, where the
//! audit system or PAM sets it), and passed on to every process of the session, whatever account it runs as
//! by then. Both are noted, each for what it is.

use crate::disk;

/// Nobody has logged in, as the kernel writes it.
const NO_LOGIN: u32 = u32::MAX;
/// The longest name that is noted.
const LONGEST: usize = 64;

/// The account that runs the command, with who called it by sudo or doas, and who logged in, where that is
/// another.
pub fn account() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|text| text.trim().parse().ok());
    let uid = rustix::process::getuid().as_raw();
    described(uid, |name| std::env::var(name).ok(), login, disk::account_name)
}

fn described(
    uid: u32,
    variable: impl Fn(&str) -> Option<String>,
    login: Option<u32>,
    name_of: impl Fn(u32) -> String,
) -> String {
    let me = name_of(uid);
    let named = |name: &str| variable(name).filter(|name| is_name(name));
    let numbered = || Some(name_of(variable("SUDO_UID")?.parse().ok()?));
    let sudo = named("SUDO_USER").or_else(numbered).map(|who| ("sudo by", who));
    let caller = sudo.or_else(|| Some(("doas by", named("DOAS_USER")?)));
    let login = login.filter(|login| ![uid, NO_LOGIN].contains(login));
    let login = login.map(|login| ("login of", name_of(login)));
    let behind = [caller.filter(|(_, who)| *who != me), login];
    let behind = behind
        .into_iter()
        .flatten()
        .map(|(how, who)| format!(", {how} {who}"));
    format!("{me} (uid {uid}{})", behind.collect::<String>())
}

/// Whether this can be noted as a name: nothing that looks like another part of the line, and nothing that a
/// terminal obeys.
fn is_name(text: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._-+@\\$".contains(&octet);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)], login: Option<u32>) -> String {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let name = |uid| match uid {
            0 => "root".to_owned(),
            999 => "pki".to_owned(),
            1000 => "alice".to_owned(),
            other => format!("uid {other}"),
        };
        described(999, variable, login, name)
    }

    #[test]
    fn who_stands_behind_the_account_is_told_by_where_it_is_known_from() {
        assert_eq!(by(&[], None), "pki (uid 999)");
        assert_eq!(by(&[], Some(NO_LOGIN)), "pki (uid 999)");
        assert_eq!(by(&[], Some(999)), "pki (uid 999)");
        assert_eq!(by(&[], Some(1000)), "pki (uid 999, login of alice)");
        assert_eq!(
            by(&[("SUDO_USER", "alice")], None),
            "pki (uid 999, sudo by alice)"
        );
        assert_eq!(by(&[("SUDO_UID", "1000")], None), "pki (uid 999, sudo by alice)");
        assert_eq!(
            by(&[("SUDO_UID", "1001")], None),
            "pki (uid 999, sudo by uid 1001)"
        );
        assert_eq!(
            by(&[("DOAS_USER", "alice")], None),
            "pki (uid 999, doas by alice)"
        );
        // Where they differ, one of them is no truth, and both are there to be seen.
        assert_eq!(
            by(&[("SUDO_USER", "root")], Some(1000)),
            "pki (uid 999, sudo by root, login of alice)"
        );
        assert_eq!(by(&[("SUDO_USER", "pki")], None), "pki (uid 999)");
    }

    #[test]
    fn what_is_no_name_is_not_noted() {
        let long = "a".repeat(LONGEST + 1);
        for bad in [
            "",
            "a b",
            "a)",
            "a, login of root",
            "a\n",
            "\u{1b}[2J",
            "\u{202E}a",
            &long,
        ] {
            assert_eq!(by(&[("SUDO_USER", bad)], None), "pki (uid 999)", "{bad:?}");
            assert_eq!(by(&[("DOAS_USER", bad)], None), "pki (uid 999)", "{bad:?}");
            let both = [("SUDO_USER", bad), ("SUDO_UID", "1000")];
            assert_eq!(by(&both, None), "pki (uid 999, sudo by alice)", "{bad:?}");
        }
        assert_eq!(by(&[("SUDO_UID", "-1")], None), "pki (uid 999)");
        assert_eq!(
            by(&[("SUDO_USER", "ACME\\alice")], None),
            "pki (uid 999, sudo by ACME\\alice)"
        );
    }
}
