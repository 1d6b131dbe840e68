//! The type of finding that `pki doctor` and `pki check` report: a code, a severity, a message and a remedy.

use std::fmt;

use serde::Serialize;

/// The severity of a finding.
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
    /// A stable code for it, for programs.
    pub code: &'static str,
    /// The severity of the finding.
    pub severity: Severity,
    /// The description of the finding.
    pub message: String,
    /// The remedy: what mends it.
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
