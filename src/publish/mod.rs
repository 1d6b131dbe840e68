//! The publication, which servers and apps read: it is built and checked as a whole, then written to each
//! target file by file.

mod accepted;
mod bucket;
#[cfg(test)]
mod fuzz_tests;
mod destination;
mod directory;
mod error;
mod file;
mod half;
mod hashes;
mod history;
mod location;
mod manifest;
mod pins;
mod publication;
mod statement;
mod stray;

pub use accepted::{
    ALLOWED, Accepted, AcceptedLists, Claim, DEVICES, FEW, Lists, RECENT_ALLOWED, RECENT_DEVICES, REVOKED,
    Told, allowed, revoked_serial,
};
pub use bucket::{Access, BucketError, CredentialsError, StoreError, is_endpoint};
pub use destination::{BothForms, Destination, LONGEST_CRL, LONGEST_LIST};
pub use error::TargetError;
pub use file::{Body, File, Gone};
pub use half::Half;
pub use hashes::Hashes;
pub use history::{Checkpoint, End, HISTORY, History, InvalidHistory, Line};
pub use location::{InvalidLocation, Location};
pub use manifest::{Area, Ended, LONGEST_MANIFEST, Listed, Listing, Manifest};
pub use pins::{Pins, UnfitPins};
pub use publication::{Material, Publication, PublishedCrl, Rejected, ServersPart};
pub use statement::{InvalidStatement, Statement, Unproven};
pub use stray::{Stray, StrayKind};
