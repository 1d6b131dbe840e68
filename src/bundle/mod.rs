//! Makes the files that a device gets: its key and certificates as PKCS#12, in a configuration profile, or as
//! a QR code.
//!
//! Everything here is pure: octets in, octets out, randomness as an argument. Nothing opens a bundle; that is
//! done by the systems that install it, and by the tests.

mod mobileconfig;
mod pkcs12;
mod protection;
mod qr;
mod stretch;
mod tlv;

pub use mobileconfig::{MobileConfig, RootCertificate};
pub use pkcs12::{BundleKeys, Contents, Stretch, encode, is_of};
pub use qr::{Code, base45, credential};

use crate::key::UnfitPassphrase;
use crate::model::fault::{Fault, Kind};

/// The reason for which a bundle, a profile or a code could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Some system could not open a bundle with such a passphrase.
    #[error("the bundle's passphrase {0}")]
    Passphrase(UnfitPassphrase),
    /// A part is longer than DER can say.
    #[error("the bundle cannot be encoded in DER")]
    Encoding(#[from] der::Error),
    /// More than the largest QR code holds (version 40, level L).
    #[error("a text of {0} characters does not fit into a QR code")]
    TooLongForCode(usize),
    /// The QR code's picture could not be written.
    #[error("the QR code cannot be written as PNG")]
    Png(#[from] png::EncodingError),
    /// The template of the configuration profile does not work.
    #[error("the template of the configuration profile does not work")]
    Template(#[from] minijinja::Error),
    /// A character that XML 1.0 has no way to write (XML 1.0 §2.2).
    #[error("the character U+{:04X} cannot stand in a configuration profile", u32::from(*.0))]
    NotInXml(char),
}

impl Fault for BundleError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::Template(_) => Kind::Damaged,
            Self::Passphrase(_)
            | Self::Encoding(_)
            | Self::TooLongForCode(_)
            | Self::Png(_)
            | Self::NotInXml(_) => Kind::BadRequest,
        };
        (kind, "bundle")
    }
}
