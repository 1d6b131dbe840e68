//! What servers and apps read: built and checked as a whole, then written file by file.

mod accepted;
mod directory;
mod file;
mod manifest;
mod pins;
mod publication;
mod stray;

pub use accepted::{Accepted, Told};
pub use directory::{Destination, LONGEST_CRL, Statement, TargetError};
pub use file::{Body, File};
pub use manifest::{Area, Manifest};
pub use pins::{Pins, UnfitPins};
pub use publication::{Material, Publication, PublishedCrl, Rejected, ServersPart};
pub use stray::{Stray, StrayKind};
