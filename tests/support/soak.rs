//! How long the tests may take: `make soak` runs the long forms of those that have a short one.

/// Whether this is `make soak`.
pub fn soak() -> bool {
    std::env::var_os("SOAK").is_some_and(|value| !value.is_empty())
}

/// This often; in a soak ten times as often.
pub fn rounds(usual: usize) -> usize {
    if soak() { usual * 10 } else { usual }
}
