//! Lists of people that are handed in for `--from`, as they are read for every verb.

use std::path::Path;

use super::context::Context;
use super::error::Failure;
use super::in_shell;
use crate::ca::{self, PeopleError, Person};
use crate::disk;
use crate::home::Home;
use crate::model::Address;
use crate::store::Store;

/// The largest list that is read, in octets.
const LIST: u64 = 64 << 20;
/// How many people may be new in a list for each of them to be held against those that are known: longer ones
/// are no person's typing.
const TYPED: usize = 50;

/// Reads the list at `path`. Where it cannot be used, the advice begins with what was not done: `undone`.
///
/// # Errors
/// Where it cannot be read, or one of its rows is no device: each of them is named.
pub fn read(path: &Path, home: &Home, undone: &str) -> Result<Vec<Person>, Failure> {
    let octets = disk::read_given(path, LIST).map_err(|error| {
        let is_missing = error.source.kind() == std::io::ErrorKind::NotFound;
        let failure = Failure::from(error);
        if !is_missing {
            return failure;
        }
        failure.hint(format!(
            "there is no {} here: name the list, or write one: a line employee,device[,name,email,for,days], then one for each device (bob,phone)",
            path.display()
        ))
    })?;
    ca::read_people(&octets, &home.config().default_device).map_err(|why| {
        let form =
            format!("{undone}; the list is UTF-8 CSV with a header: employee,device[,name,email,for,days]");
        let other = [(PeopleError::Semicolons, "';'"), (PeopleError::Tabs, "'\\t'")];
        let separator = other.into_iter().find(|(error, _)| *error == why);
        let list = in_shell(&path.display().to_string());
        // A file of another name: a shell empties the one that is written before it is read.
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let commas = in_shell(&format!("{stem}-commas.csv"));
        Failure::refused(format!("{}: {why}", path.display())).hint(match separator {
            Some((_, separator)) => {
                format!("{form}; where no cell has a comma: tr {separator} , < {list} > {commas}")
            }
            None => form,
        })
    })
}

/// Warns of devices that the ledger does not know, each with its line, where one that it knows is a slip of a
/// finger away.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn warn_of_slips(new: &[(u64, Address)], store: &Store, context: &Context) -> Result<(), Failure> {
    if new.len() > TYPED {
        return Ok(());
    }
    for (line, address) in new {
        let known = ca::mistakable(store, address)?;
        if !known.is_empty() {
            let known = known.join(", ");
            context.ui.warn(format!(
                "line {line}: {address} is new here, and one slip away from {known}"
            ));
        }
    }
    Ok(())
}
