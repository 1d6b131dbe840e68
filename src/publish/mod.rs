//! What servers and apps read: built and checked as a whole, then written file by file.

mod directory;
mod manifest;
mod publication;

pub use directory::{Destination, TargetError};
pub use manifest::{Area, Manifest};
pub use publication::{Body, File, Material, Publication, PublishedCrl, Rejected};
