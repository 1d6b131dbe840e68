//! The platforms that open a bundle, and the form of encryption that each needs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::quoted;

/// The system that a device runs; remembered for renewals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// iPhone and iPad.
    Ios,
    /// Mac.
    Macos,
    /// Windows.
    Windows,
    /// Android.
    Android,
    /// A Java key store.
    Java,
    /// Linux and other systems with OpenSSL, NSS or GnuTLS.
    Linux,
    /// An unknown platform: the bundle is one that every system opens.
    #[default]
    Any,
}

/// The form in which a PKCS#12 bundle is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018), MAC with HMAC-SHA256.
    Modern,
    /// pbeWithSHA1And3-KeyTripleDES-CBC, MAC with HMAC-SHA1 (RFC 7292 appendix C): for systems before 2023.
    Legacy,
}

impl Platform {
    /// Every platform, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Ios,
        Self::Macos,
        Self::Windows,
        Self::Android,
        Self::Java,
        Self::Linux,
        Self::Any,
    ];

    /// The word for it, in `--for` and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Macos => "macos",
            Self::Windows => "windows",
            Self::Android => "android",
            Self::Java => "java",
            Self::Linux => "linux",
            Self::Any => "any",
        }
    }

    /// The platform of a product, by the name that people have for it.
    pub fn of_product(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "iphone" | "ipad" | "ipados" | "apple" => Some(Self::Ios),
            "mac" | "macbook" | "imac" | "osx" => Some(Self::Macos),
            "pc" => Some(Self::Windows),
            "pixel" | "samsung" | "galaxy" => Some(Self::Android),
            "debian" | "ubuntu" | "fedora" | "openssl" => Some(Self::Linux),
            _ => None,
        }
    }

    /// The bundle's form where nobody asks for another. Android and the unknown get what old systems open.
    pub fn form(self) -> Form {
        match self {
            Self::Any | Self::Android => Form::Legacy,
            Self::Ios | Self::Macos | Self::Windows | Self::Java | Self::Linux => Form::Modern,
        }
    }

    /// The systems that open a bundle of this form on this platform, for people.
    pub fn opens_on(self, form: Form) -> &'static str {
        match (self, form) {
            (_, Form::Legacy) => {
                "iOS, macOS, Android, Windows, Java, OpenSSL, NSS and GnuTLS, old versions too"
            }
            (Self::Ios, Form::Modern) => "iOS 18 and later (before that: --p12 legacy)",
            (Self::Macos, Form::Modern) => "macOS 15 and later (before that: --p12 legacy)",
            (Self::Windows, Form::Modern) => {
                "Windows 10, 11 and Server 2019 and later (Server 2016: --p12 legacy)"
            }
            (Self::Android, Form::Modern) => "Android 14 and later (before that: --p12 legacy)",
            (Self::Java, Form::Modern) => "Java 8u301, 11.0.12, 12 and later (before that: --p12 legacy)",
            (Self::Linux, Form::Modern) => "OpenSSL 1.1 and later, NSS, GnuTLS, Node.js, curl",
            (Self::Any, Form::Modern) => {
                "iOS 18, macOS 15, Android 14, Windows 10, Java 12, OpenSSL and later"
            }
        }
    }

    /// Whether Apple's configuration profiles work there.
    pub fn takes_mobileconfig(self) -> bool {
        matches!(self, Self::Ios | Self::Macos)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Parses the word for a platform in any capitalization: people write iOS and macOS.
impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        Self::ALL
            .into_iter()
            .find(|p| p.word().eq_ignore_ascii_case(text))
            .ok_or_else(|| InvalidPlatform(quoted(text)))
    }
}

impl Form {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Modern, Self::Legacy];

    /// The word for it, in `--p12` and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Legacy => "legacy",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Form {
    type Err = InvalidForm;

    fn from_str(text: &str) -> Result<Self, InvalidForm> {
        Self::ALL
            .into_iter()
            .find(|form| form.word() == text)
            .ok_or_else(|| InvalidForm(quoted(text)))
    }
}

/// A word that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not one of ios, macos, windows, android, java, linux, any")]
pub struct InvalidPlatform(String);

/// A word that names no form of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not one of modern, legacy")]
pub struct InvalidForm(String);
