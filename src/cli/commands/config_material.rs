//! What every configuration is made of: where the program and the home are, the template, the published pins.

use std::path::{Path, PathBuf};

use crate::ca;
use crate::consumer::Template;
use crate::disk;
use crate::home::Home;
use crate::model::{Host, PinSet};

use crate::cli::context::Context;
use crate::cli::error::Failure;

/// The paths of this program and its home, for commands that are run from anywhere.
pub(in crate::cli) fn whereabouts(home: &Home) -> Result<(PathBuf, PathBuf), Failure> {
    let program = std::env::current_exe().map_err(disk::failed("located", Path::new("pki")))?;
    let place = std::path::absolute(home.path()).map_err(disk::failed("located", home.path()))?;
    Ok((program, place))
}

/// The text of a template: the home's own, or the one built in.
pub(in crate::cli) fn template(home: &Home, built_in: Template) -> Result<String, Failure> {
    Ok(home.template(built_in.name, built_in.text)?)
}

/// Chooses one of several hosts: a person is asked, a script is told what to do.
pub(in crate::cli) fn choose_host(sets: &[PinSet], hint: &str, context: &Context) -> Result<Host, Failure> {
    let names: Vec<String> = sets.iter().map(|set| set.host.to_string()).collect();
    if context.ui.can_ask() {
        let choice = context.ui.choose("Which server?", &names)?;
        return Ok(sets[choice].host.clone());
    }
    Err(Failure::refused(format!("there are several servers: {}", names.join(", "))).hint(hint))
}

/// The pins of every host, as they were published last.
pub(in crate::cli) fn published_pins(home: &Home) -> Result<Vec<PinSet>, Failure> {
    Ok(ca::published_pins(home)?.map_or(Vec::new(), |pins| pins.sets))
}
