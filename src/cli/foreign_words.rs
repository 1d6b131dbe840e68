//! Suggestions for a word in argv that is no command and no flag: the words of other tools for what is done
//! here, and mistakes that clap knows nothing of.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::in_shell;
use super::named::Addressee;
use crate::model::Address;
use crate::model::near::near;

/// The suggestion for a command line that clap refuses, where there is one.
pub fn of(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let words: Vec<&str> = arguments
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .collect();
    if error.kind() == ErrorKind::InvalidSubcommand {
        let word = text(ContextKind::InvalidSubcommand)?;
        return match words.iter().position(|one| *one == word) {
            Some(place) if words[..place].contains(&"server") => of_server(word).map(str::to_owned),
            Some(place) if words[..place].contains(&"invite") => of_invite(word),
            _ => command(word).map(str::to_owned).or_else(|| swapped(word, &words)),
        };
    }
    let word = text(ContextKind::InvalidArg)?;
    if error.kind() == ErrorKind::UnknownArgument {
        return flag(word, &words).or_else(|| two_words(word, &words));
    }
    // Days are counted; what other tools call a year is not.
    let value = text(ContextKind::InvalidValue)?;
    let (number, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let days = match unit {
        "d" => 1,
        "w" => 7,
        "y" => 365,
        _ => return None,
    };
    let number: u32 = number.parse().ok().filter(|_| word.starts_with("--days"))?;
    Some(format!(
        "it is a number of days: --days {}",
        number.checked_mul(days)?
    ))
}

/// The command of `pki invite` that is meant by a word that is none.
fn of_invite(word: &str) -> Option<String> {
    /// A slip of one of these is clap's to mend.
    const VERBS: [&str; 5] = ["create", "list", "show", "cancel", "approve"];
    Some(match word {
        "delete" | "remove" | "rm" | "del" | "revoke" | "withdraw" => {
            "`pki invite cancel ID` takes an invite back".into()
        }
        "new" | "add" | "make" => "`pki invite create ADDRESS` makes one".into(),
        "ls" | "all" | "status" => "`pki invite list` lists them".into(),
        "accept" | "confirm" | "allow" => "`pki invite approve ID` approves the phone that waits".into(),
        _ if VERBS.iter().any(|verb| near(word).contains(*verb)) => return None,
        _ if word.parse::<Addressee>().is_ok() => format!("`pki invite create {word}` invites a device"),
        _ => return None,
    })
}

/// The command for what easy-rsa, step-ca, cfssl, Vault, XCA and `openssl ca` call so.
fn command(word: &str) -> Option<&'static str> {
    Some(match word {
        "unrevoke" | "unhold" | "restore-cert" => {
            "what is revoked stays so; `pki issue ADDRESS` makes the device a new certificate"
        }
        "delete" | "remove" | "rm" | "del" => {
            "nothing is deleted: `pki revoke ADDRESS` locks a device out, `pki offboard EMPLOYEE` a person"
        }
        "status" | "health" | "verify" => {
            "`pki doctor` tells what is wrong, `pki list` and `pki show ADDRESS` how certificates are"
        }
        "export" => {
            "a bundle is written once, by `pki issue`, and its key is kept nowhere: `pki renew ADDRESS` makes another"
        }
        "build-client-full" | "gen-req" | "sign-req" | "sign" | "gencert" | "create" | "new" | "add" => {
            "`pki issue ADDRESS` makes key and certificate of a device; with --csr FILE it signs a request"
        }
        "build-server-full" => "`pki server add HOST`, then `pki server issue HOST --out DIR`",
        "gen-crl" | "gencrl" | "crl" | "update-crl" => {
            "`pki publish` signs the CRL where it is due, and publishes it"
        }
        "init-pki" | "build-ca" | "init-ca" | "genca" | "setup" => {
            "`pki init` makes root and issuing CA, and the first publication"
        }
        "show-cert" | "certinfo" | "inspect" | "info" => "`pki show ADDRESS` or `pki show FILE`",
        "log" | "logs" | "history" => "`pki audit` shows what happened",
        "version" => "`pki --version`",
        "block" | "suspend" | "disable" | "lost" | "lock" => "`pki revoke ADDRESS` locks a device out",
        "rename" | "update" | "edit" => {
            "`pki renew ADDRESS --name NAME` makes a certificate of another name; also --email and --for"
        }
        "rotate" => "`pki server rotate HOST` has a server change to its key in reserve",
        "servers" | "hosts" => "`pki server list`, and `pki server --help` for the rest",
        "pin" => "`pki pins show`",
        "cert" | "certs" | "certificate" | "certificates" | "device" | "devices" | "user" | "users"
        | "people" | "employee" | "employees" => {
            "`pki list` shows people and devices, `pki issue ADDRESS` adds one"
        }
        _ => return None,
    })
}

/// The same behind `pki server`.
fn of_server(word: &str) -> Option<&'static str> {
    Some(match word {
        "delete" | "rm" | "del" | "drop" => "`pki server remove HOST`",
        "new" | "create" | "init" => "`pki server add HOST`",
        "renew" | "reissue" | "sign" | "certify" => "`pki server issue HOST` makes it a new certificate",
        "revoke" => {
            "`pki revoke SERIAL` takes back a server's certificate; `pki server list` shows its number"
        }
        "show" | "status" | "info" => "`pki server list HOST`",
        _ => return None,
    })
}

/// Employee first and verb second.
fn swapped(word: &str, words: &[&str]) -> Option<String> {
    let place = words.iter().position(|one| *one == word)?;
    let verb = words.get(place + 1)?;
    let verb = super::command().find_subcommand(verb)?.get_name().to_owned();
    word.parse::<Addressee>().ok()?;
    let takes_whom = ["issue", "renew", "revoke", "offboard", "list", "show"];
    takes_whom
        .contains(&verb.as_str())
        .then(|| format!("write `pki {verb} {}`", in_shell(word)))
}

/// A flag that there is not, and what does it.
fn flag(word: &str, words: &[&str]) -> Option<String> {
    let name = word.split('=').next().unwrap_or(word);
    let secret = [
        "--passphrase",
        "--password",
        "--pass",
        "--passwd",
        "--passin",
        "--passout",
        "--bundle-passphrase",
        "--root-passphrase",
        "--pin",
        "-p",
        "-passin",
        "-passout",
    ];
    let verb = |verb: &str| words.contains(&verb);
    Some(match name {
        "--root-passphrase" => "a passphrase is never an argument: what was typed is in the shell's history now, and `ps` has shown it to \
             all; if it was a real one, change it. It is asked for at a terminal, or read with --root-passphrase-file PATH"
            .into(),
        _ if secret.contains(&name) => "a passphrase is never an argument: what was typed is in the shell's history now, and `ps` has shown \
             it to all; if it was a real one, change it. It is asked for at a terminal, or read with --passphrase-file PATH"
            .into(),
        "--all" if verb("revoke") => {
            "`pki revoke ADDRESS` takes back all certificates of a device, `pki offboard EMPLOYEE` all of a person".into()
        }
        "--csv" | "--file" | "--batch" | "--form" | "--list" if verb("issue") => {
            "a list of devices is read with --from FILE, as in `pki issue --from people.csv --out bundles`".into()
        }
        "--from" | "--csv" | "--file" | "--form" if verb("renew") => {
            "`pki renew --expiring 30d` renews all that end soon; what a list has otherwise, `pki issue --from FILE --update`".into()
        }
        "--force" | "-f" => {
            "nothing is forced: --yes answers what is asked, and what is refused says what goes on by --confirm".into()
        }
        "-o" | "--output" | "--dir" | "--directory" => "where files go is said by --out".into(),
        "-r" if verb("revoke") => "the reason is said by --reason, as in --reason lost".into(),
        "--validity" | "--valid" | "--expires" | "--expiry" | "--ttl" | "--lifetime" | "--life"
            if ["issue", "renew", "server"].iter().any(|one| verb(one)) =>
        {
            "how long it is good is said by --days, a number".into()
        }
        _ => return None,
    })
}

/// An employee and a device with a blank between them.
fn two_words(word: &str, words: &[&str]) -> Option<String> {
    let place = words.iter().position(|one| *one == word)?;
    let before = words.get(place.checked_sub(1)?)?;
    let address: Address = format!("{before}/{word}").parse().ok()?;
    let verb = words.get(place.checked_sub(2)?)?;
    if !["issue", "renew", "revoke", "show"].contains(verb) {
        return None;
    }
    Some(format!("a device is written {address}"))
}

/// Whether the tip that clap has for a flag is wrong: `--all` is not meant for `--allow-mounted-secrets`, and
/// nobody means `-a` to be a value.
pub fn leads_astray(error: &clap::Error) -> bool {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let Some(ContextValue::String(similar)) = error.get(ContextKind::SuggestedArg) else {
        return error.kind() == ErrorKind::UnknownArgument && typed.starts_with('-');
    };
    let [typed, similar] = [typed, similar].map(|flag| flag.trim_start_matches('-'));
    let is_slip = near(typed).contains(similar);
    let begins_alike = similar.starts_with(typed) || typed.starts_with(similar);
    let is_nearly = begins_alike && similar.len().abs_diff(typed.len()) <= 4;
    !is_slip && !is_nearly
}

/// clap's message without its own tips.
pub fn without_tips(error: &clap::Error, is_known: bool) -> String {
    let message = error.render().to_string();
    let mut paragraphs: Vec<&str> = message.split("\n\n").collect();
    // A usage line that shows the flag which was not meant is no help either.
    let is_of_another = is_known || error.get(ContextKind::SuggestedArg).is_some();
    let is_tip = |text: &str| text.trim_start().starts_with("tip:");
    let is_usage = |text: &str| is_of_another && text.starts_with("Usage:");
    paragraphs.retain(|text| !is_tip(text) && !is_usage(text));
    paragraphs.join("\n\n")
}
