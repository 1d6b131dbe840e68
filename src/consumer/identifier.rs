//! Identifiers made of a host's name, for use as parts of other names in a configuration: of variables, maps
//! and log formats.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::model::Host;

/// The longest identifier. nginx holds names of variables of 46 characters, unless it is told otherwise once
/// for all servers; what templates put before it has to fit as well.
const LONGEST: usize = 32;
/// How much of a hash makes up for what is cut off.
const HASH: usize = 8;

/// An identifier that no other host has: at most [`LONGEST`] letters, digits and `_`, a letter first. Hyphens
/// of a host are never beside its dots, so that one `_` is a dot and each two are a hyphen; three of them set
/// apart what is not spelled that way.
pub(super) fn identifier(host: &Host) -> String {
    let mut spelled = String::new();
    for c in host.to_string().chars() {
        match c {
            '.' => spelled.push('_'),
            '-' => spelled.push_str("__"),
            // Of an IPv6 address.
            ':' => spelled.push('x'),
            other => spelled.push(other),
        }
    }
    match host {
        Host::Address(_) => spelled.insert_str(0, "ip___"),
        Host::Name(_) if !spelled.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            spelled.insert_str(0, "n___");
        }
        Host::Name(_) => {}
    }
    if spelled.len() > LONGEST {
        let hash = HEXLOWER.encode(&Sha256::digest(host.to_string())[..HASH]);
        spelled.truncate(LONGEST - 2 * HASH - 3);
        spelled.push_str("___");
        spelled.push_str(&hash);
    }
    spelled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(host: &str) -> String {
        identifier(&host.parse().unwrap())
    }

    #[test]
    fn an_identifier_is_the_hosts_own() {
        assert_eq!(of("api.acme.example"), "api_acme_example");
        assert_eq!(of("192.0.2.7"), "ip___192_0_2_7");
        let alike = [
            "a-b.example",
            "a.b.example",
            "a--b.example",
            "4.acme.example",
            "n.4.acme.example",
            "n---4.acme.example",
            "1.2.3.4",
            "ip.a---1",
            "ip.axx1",
            "::ffff:192.0.2.1",
            "::ffff:192:0:2:1",
            "::1",
            "1::",
            "2001:db8:1111:2222:3333:4444:5555:6666",
            "2001:db8:1111:2222:3333:4444:5555:6667",
            "a.very.long.name.of.a.server.in.a.deep.zone.one.acme.example",
            "a.very.long.name.of.a.server.in.a.deep.zone.two.acme.example",
        ];
        let all: BTreeSet<String> = alike.iter().map(|host| of(host)).collect();
        assert_eq!(all.len(), alike.len(), "{all:?}");
    }

    proptest! {
        #[test]
        fn two_hosts_have_two_identifiers_and_each_is_a_word(
            one in "[a-b0](-{0,3}[a-b0]){0,2}(\\.[a-b](-{0,3}[a-b0]){0,2}){1,3}",
            two in "[a-b0](-{0,3}[a-b0]){0,2}(\\.[a-b](-{0,3}[a-b0]){0,2}){1,3}",
        ) {
            let (first, second) = (of(&one), of(&two));
            prop_assert_eq!(one == two, first == second);
            prop_assert!(first.starts_with(|c: char| c.is_ascii_alphabetic()) && first.len() <= LONGEST);
            prop_assert!(first.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{}", first);
        }
    }
}
