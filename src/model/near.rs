//! Makes every text that differs from a name by one typing error: one letter replaced, missing or added, or
//! two neighbouring letters swapped (a Damerau–Levenshtein distance of 1). Texts of fewer than three
//! characters are left out.
//!
//! Digits are never changed, removed or added: `phone2` and `phone3` are two phones, and `clerk11` is a
//! colleague of `clerk12`.

use std::collections::BTreeSet;

/// What a short name is made of, digits apart.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz._-";
/// Shorter names are near to too many others.
const SHORTEST: usize = 3;

/// Every text of which a slip could have made this short name; none for a name that is very short.
pub fn near(name: &str) -> BTreeSet<String> {
    let name = name.as_bytes();
    let mut near = BTreeSet::new();
    let is_letter = |at: usize| name.get(at).is_some_and(|octet| LETTERS.contains(octet));
    let mut note = |parts: [&[u8]; 3]| {
        let text = parts.concat();
        if text != name && text.len() >= SHORTEST {
            near.extend(String::from_utf8(text));
        }
    };
    if name.len() < SHORTEST {
        return near;
    }
    for at in 0..=name.len() {
        let (before, after) = name.split_at(at);
        for letter in LETTERS {
            note([before, &[*letter], after]);
        }
        if !is_letter(at) {
            continue;
        }
        let rest = &after[1..];
        note([before, &[], rest]);
        for letter in LETTERS {
            note([before, &[*letter], rest]);
        }
        if is_letter(at + 1) {
            note([before, &[after[1], after[0]], &after[2..]]);
        }
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_near_and_two_are_not() {
        let near = near("alice");
        for slip in [
            "alcie", "alise", "alic", "lice", "aalice", "alice-", "al.ice", "laice",
        ] {
            assert!(near.contains(slip), "{slip}");
        }
        for other in ["alice", "alcies", "ailec", "bob", "alice2", "4lice", ""] {
            assert!(!near.contains(other), "{other}");
        }
    }

    #[test]
    fn a_number_is_no_slip_and_neither_is_a_very_short_name() {
        assert!(!near("clerk11").contains("clerk12") && !near("clerk1").contains("clerk"));
        assert!(!near("phone12").contains("phone21"));
        assert!(near("clrek11").contains("clerk11"));
        assert!(near("jo").is_empty() && !near("joe").contains("jo"));
        assert!(near("joe").contains("zoe"));
    }
}
