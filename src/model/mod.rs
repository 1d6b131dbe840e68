//! The nouns of a private PKI as plain data: no I/O, no clock, no randomness of its own, no keys.
//!
//! Everything that comes from outside is parsed into one of these types at the edge and trusted afterwards.

pub mod acme;
pub mod canary;
pub mod check_value;
pub mod clock;
pub mod constraints;
pub mod contents;
pub mod counted;
#[cfg(test)]
mod fuzz_tests;
pub(crate) mod encoding;
pub mod event;
pub mod hmac;
pub mod host;
pub mod invite;
pub mod invite_link;
pub mod authority;
pub mod device_key;
pub mod draft;
pub mod lifecycle;
pub mod validity;
pub mod near;
pub mod pin;
pub mod platform;
pub mod profile;
pub mod revocation;
pub mod serial;
pub mod server;
pub mod subject;
pub mod text;
pub mod time;
pub mod finding;
pub mod fault;

pub use acme::{AccountId, AcmeAccount, AcmeGrant};
pub use authority::Authority;
pub use check_value::CheckValue;
pub use clock::Clock;
pub use constraints::{Domain, IpRange, NameConstraints, Said};
pub use contents::{Contents, Kind, Unwanted};
pub use counted::counted;
pub use device_key::DeviceKey;
pub use draft::{Draft, Issuer, Subject};
pub use event::{Event, Fact};
pub use hmac::{HmacEpoch, HmacHost};
pub use host::Host;
pub use invite::{Invite, InviteState, Invited};
pub use invite_link::{InviteId, InviteSecret};
pub use lifecycle::{KnownBy, Record, State, Status};
pub use pin::{Pin, PinSet, Pinned, Role};
pub use platform::{Form, Platform};
pub use profile::Profile;
pub use revocation::{Reason, Revocation};
pub use serial::Serial;
pub use server::{Server, ServerKey};
pub use subject::{Address, Device, Email, Employee, PersonName};
pub use time::{Span, Time};
pub use validity::Validity;
