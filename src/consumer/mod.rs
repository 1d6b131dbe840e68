//! Configuration for servers and apps: renders, from a template, the configuration of a server in its own
//! language, and the pins in the form that each app reads.
//!
//! Everything here is pure: a template's text and its values come in, a configuration comes out. Every value
//! that a template prints is quoted in the language of its file, or refused where that language cannot
//! express it.

#[cfg(test)]
mod fuzz_tests;
mod identifier;
mod language;
mod pins;
mod removed;
mod render;
mod server;
mod target;
mod timer;
mod upstream;

pub use language::{Language, Unsayable};
pub use pins::{PinContext, ServerTrust, render_app_code, render_pins};
pub use render::ConsumerError;
pub use server::{HostContext, Part, ServerContext, render_server};
pub use target::{AppCode, InvalidTarget, PinFormat, ServerTarget, Target, Template, TimerTarget};
pub use timer::{TimerContext, render_timer};
pub use upstream::{InvalidUpstream, Upstream};
