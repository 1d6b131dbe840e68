//! Advice on changes of a home that were refused or failed: a file for each subject.

mod acme;
mod custody;
mod delivery;
mod enrollment;
mod hmac;
mod issuance;
mod key_owner;
mod publishing;
mod servers;
mod session;
mod setup;
mod not_found;

use super::disk::ROOM;
use super::{Advice, THREADS};
use crate::ca::CaError;
use crate::key::KeyError;

impl Advice for CaError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Session(error) => return error.advice(),
            Self::NotFound(error) => return error.advice(),
            Self::Issuance(error) => return error.advice(),
            Self::Enrollment(error) => return error.advice(),
            Self::UnfitKey(error) => return error.advice(),
            Self::Delivery(error) => return error.advice(),
            Self::Publishing(error) => return error.advice(),
            Self::Servers(error) => return error.advice(),
            Self::Acme(error) => return error.advice(),
            Self::Hmac(error) => return error.advice(),
            Self::Setup(error) => return error.advice(),
            Self::Custody(error) => return error.advice(),
            Self::Home(error) => return error.advice(),
            Self::Store(error) => return error.advice(),
            Self::Disk(error) => return error.advice(),
            Self::Authority(error) => return error.advice(),
            Self::Target(error) => return error.advice(),
            Self::Rejected(error) => return error.advice(),
            Self::Refused(refusal) => return refusal.advice(),
            Self::Key {
                why: KeyError::NoThreads(_),
                ..
            } => THREADS,
            Self::Key {
                why: KeyError::WrongPassphrase,
                ..
            } => "it opens with the passphrase of the issuing key, the everyday one",
            Self::Key { .. } | Self::Bundle(_) => return None,
            Self::Exists(_) => "choose another name, or move it away",
            Self::NoThreads(_) => THREADS,
            Self::NotRecorded { .. } => ROOM,
            Self::ReadBack(_) => "check the disk, then run the same command again",
        };
        Some(advice.into())
    }
}
