//! Remembers when somebody showed last that a passphrase is known, in a note beside the ledger. What is typed
//! from a file every day is forgotten by everybody who could type it.

use serde::{Deserialize, Serialize};

use crate::ca::CaError;
use crate::ca::note;
use crate::ca::session::Desk;
use crate::home::Home;
use crate::model::{Authority, Time};

/// The name of the file in the home.
const FILE: &str = "drill.json";

/// When each passphrase was known last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    version: u32,
    /// That of the issuing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuing: Option<Time>,
    /// That of the root's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Time>,
}

/// The last drill of this home.
pub fn last_drill(home: &Home) -> Drill {
    note::read(home, FILE).ok().flatten().unwrap_or_default()
}

/// Notes that these passphrases are known.
///
/// # Errors
/// Where the home is busy, or the disk does not let it.
pub fn note_drill(desk: &Desk, known: &[Authority]) -> Result<(), CaError> {
    let _lock = desk.home.lock(desk.patience, &desk.holder)?;
    let now = (desk.clock)();
    let mut drill = Drill {
        version: 1,
        ..last_drill(&desk.home)
    };
    for authority in known {
        match authority {
            Authority::Root => drill.root = Some(now),
            Authority::Issuing => drill.issuing = Some(now),
            Authority::Servers => {}
        }
    }
    Ok(note::write(&desk.home, FILE, Some(&drill))?)
}
