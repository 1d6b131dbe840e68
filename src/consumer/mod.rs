//! What servers and apps are told: a configuration in each one's own language, and the pins as each app reads them.
//!
//! Everything here is pure: a template's text and what goes into it come in, a configuration comes out. Every value that a template
//! prints is quoted in the language of its file, or refused where that language cannot say it.

mod language;
mod render;
mod target;
mod upstream;

pub use language::{Language, Unsayable};
pub use render::{
    ConsumerError, PinContext, ServerContext, ServerTrust, render_pins, render_server, render_verifier,
};
pub use target::{InvalidTarget, PinFormat, ServerTarget, Target, Template, Verifier};
pub use upstream::{InvalidUpstream, Upstream};
