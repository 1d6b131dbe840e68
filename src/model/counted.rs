//! Writes a number of things in words, with the noun in singular or plural.

/// So many of something, a number of any type: `no certificate`, `1 certificate`, `2 certificates`.
pub fn counted(count: impl ToString, what: &str) -> String {
    match count.to_string().as_str() {
        "0" => format!("no {what}"),
        "1" => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}
