//! The type of finding that `pki doctor` and `pki check` report: a code, a severity, a message and a remedy.

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Will go wrong, or could.
    Warning,
    /// Is wrong.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word for it.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// What mends it.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(
        code: &'static str,
        severity: Severity,
        message: impl ToString,
        remedy: impl ToString,
    ) -> Self {
        Self {
            code,
            severity,
            message: message.to_string(),
            remedy: remedy.to_string(),
        }
    }
}
