//! Advice on mistakes in `pki.toml` that the TOML parser explains only in its own terms.

/// Every key, by its place in the file.
const PLACES: [(&str, &[&str]); 5] = [
    (
        "above the first table",
        &[
            "base_url",
            "ocsp_url",
            "default_device",
            "default_profile",
            "names_in_certificates",
            "publish_on_issue",
            "backup",
            "backup_to",
            "allowed_networks",
            "passphrase_command",
            "root_passphrase_command",
            "root_key",
        ],
    ),
    (
        "under [lifetimes]",
        &["days", "spread", "warn_days", "issuing_crl_days", "root_crl_days"],
    ),
    ("under [pins]", &["overlap_days", "life_days"]),
    (
        "under [serve]",
        &[
            "host",
            "device_host",
            "api",
            "page",
            "device",
            "status",
            "acme",
            "acme_host",
            "page_certificate",
            "page_key",
            "on_second_try",
            "proxies",
            "metrics_from",
            "log_names",
        ],
    ),
    (
        "under [[publish]]",
        &[
            "public",
            "server",
            "group",
            "region",
            "endpoint",
            "credentials_file",
            "profile",
            "ca",
            "command",
            "reload",
        ],
    ),
];

/// What helps where a reader of TOML has only its own words for it: a line that was put where the file ends
/// belongs to the last table.
pub fn remedy(text: &str, error: &toml::de::Error) -> Option<String> {
    let message = error.message();
    let unknown = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    if let Some(key) = unknown {
        let (place, _) = PLACES.iter().find(|(_, keys)| keys.contains(&key))?;
        return Some(format!("`{key}` belongs {place}"));
    }
    let before = text.get(..error.span()?.start)?;
    let line = &text[before.rfind('\n').map_or(0, |end| end + 1)..];
    let line = line.lines().next()?.trim();
    if line.starts_with("[publish]") {
        return Some("a place has two brackets on each side: [[publish]]".into());
    }
    let is_command = line
        .split('=')
        .next()
        .is_some_and(|key| key.trim_end().ends_with("command"));
    (is_command && message.contains("expected a sequence"))
        .then(|| "it is a list of a program and its arguments: [\"systemctl\", \"reload\", \"nginx\"]".into())
}

#[cfg(test)]
mod tests {
    use super::PLACES;
    use crate::home::config::Config;

    /// The tables, in the order of [`PLACES`].
    const TABLES: [&str; 5] = ["", "[lifetimes]", "[pins]", "[serve]", "[[publish]]"];

    #[test]
    fn a_key_in_another_table_is_told_where_it_belongs() {
        for (number, (place, keys)) in PLACES.iter().enumerate() {
            for key in *keys {
                for (at, table) in TABLES.iter().enumerate() {
                    let said = Config::parse(&format!("{table}\n{key} = {{}}\n"))
                        .unwrap_err()
                        .to_string();
                    let is_told = said.contains(&format!("`{key}` belongs {place}"));
                    assert_eq!(is_told, at != number, "{table} {key}: {said}");
                }
            }
        }
    }

    #[test]
    fn every_key_that_a_table_takes_has_its_place() {
        for (table, (place, keys)) in TABLES.iter().zip(PLACES) {
            let said = Config::parse(&format!("{table}\nno_such_key = 1\n"));
            let said = said.unwrap_err().to_string();
            let (_, taken) = said.split_once("expected ").unwrap();
            let mut taken: Vec<&str> = taken.split('`').skip(1).step_by(2).collect();
            // Tables are no keys of their own.
            taken.retain(|key| !["lifetimes", "pins", "serve", "publish"].contains(key));
            assert_eq!(taken, keys, "{place}");
        }
    }

    #[test]
    fn what_toml_says_of_a_slip_is_followed_by_what_helps() {
        let place = "[[publish]]\npublic = \"/p\"\n";
        for (text, helps) in [
            ("[publish]\npublic = \"/p\"\n".to_owned(), "[[publish]]"),
            (format!("{place}[publish]\npublic = \"/q\"\n"), "[[publish]]"),
            (
                format!("{place}command = \"systemctl reload nginx\"\n"),
                "[\"systemctl\", \"reload\", \"nginx\"]",
            ),
            (
                "passphrase_command = \"pass show pki\"\n".to_owned(),
                "[\"systemctl\"",
            ),
        ] {
            let said = Config::parse(&text).unwrap_err().to_string();
            assert!(said.lines().last().unwrap().contains(helps), "{said}");
        }
    }
}
