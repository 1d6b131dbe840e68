//! Advice on a device's certificate and key that cannot be used.

use super::Advice;
use crate::cli::in_shell;
use crate::credential::CredentialError;
use crate::disk::Shown;
use crate::key::KeyError;

impl Advice for CredentialError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Disk(error) => return error.advice(),
            Self::Exposed(exposed) => return Some(exposed.remedy()),
            Self::Key { why, .. } => match why {
                KeyError::WrongPassphrase => "give its passphrase with --passphrase-file PATH",
                KeyError::NoThreads(_) => super::THREADS,
                KeyError::NotEncryptedPkcs8
                | KeyError::Unsupported(_)
                | KeyError::NotP256
                | KeyError::NotHmac
                | KeyError::PublicKey
                | KeyError::Encryption(_) => {
                    "name the device's key with --key FILE, PEM; `openssl pkcs8 -topk8 -in KEY -out NEW` makes the form of it that is read"
                }
            },
            Self::Bundle(Shown(path)) => {
                let file = in_shell(&path.display().to_string());
                return Some(format!(
                    "`(umask 077; openssl pkcs12 -in {file} -nocerts -nodes -out device.key)` does that, and `openssl pkcs12 -in {file} \
                     -nokeys -out device.crt` takes out the certificate"
                ));
            }
            Self::Certificate { .. } => {
                "name the device's own certificate with --cert FILE, the first of its file"
            }
            Self::Together(_) => "make two files of it, which --cert and --key name",
            Self::Mismatch { .. } => {
                "name both of one device with --cert and --key; where one of them was exchanged by hand, exchange the other as well"
            }
        };
        Some(advice.into())
    }
}
