//! Advice on a device's certificate and key that cannot be used.

use super::Advice;
use crate::credential::CredentialError;
use crate::key::KeyError;

impl Advice for CredentialError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Disk(error) => return error.advice(),
            Self::Exposed(exposed) => return Some(exposed.remedy()),
            Self::Key { why, .. } => match why {
                KeyError::WrongPassphrase => {
                    "give its passphrase with --passphrase-file PATH; FILE.new has the same as FILE"
                }
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
            Self::Certificate { .. } => {
                "name the device's own certificate with --cert FILE, the first of its file"
            }
            Self::Together(_) => {
                "make two files of it, which --cert and --key name; what needs one file of both has it made by --exec 'cat …'"
            }
            Self::Mismatch { .. } => {
                "name both of one device with --cert and --key; where one of them was exchanged by hand, exchange the other as well"
            }
        };
        Some(advice.into())
    }
}
