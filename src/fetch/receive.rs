//! Reads a publication from its source into a new version, and verifies it on the way.

use std::io::Read;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::answer::{Answer, SourceError, Validator, pour};
use super::content::{self, Content, Examination, Fault};
use super::continuity::{Confirmation, Succession, Unproven};
use super::error::{Attempt, FetchError, Unfit};
use super::history;
use super::listing;
use super::place::Version;
use super::predecessors::{Before, Predecessors, read};
use super::run::Run;
use super::source::Source;
use super::state::{Seen, SeenEnd};
use super::terms::{self, Ended, SLACK};
use crate::disk::{self, Shown};
use crate::model::{Contents, Kind};
use crate::publish::{Area, HISTORY, LONGEST_CRL, LONGEST_MANIFEST, Listed, Manifest, Statement};

/// A manifest that holds, and how it came.
pub(super) struct Announced {
    pub jws: Vec<u8>,
    pub statement: Statement,
    pub manifest: Manifest,
    pub files: Vec<&'static str>,
    pub validator: Option<Validator>,
    /// The versions that were installed before it.
    pub old: Predecessors,
}

/// A new version that is whole and holds.
pub(super) struct Received {
    /// The files that were not there before.
    pub changed: Vec<String>,
    pub content: Content,
    pub unproven: Unproven,
    /// The last checkpoint of the ledger, where there is one.
    pub history: Option<SeenEnd>,
}

impl Run<'_> {
    /// Reads the manifest, and checks all of it that can be checked without the other files.
    pub(super) fn announced(
        &self,
        jws: Vec<u8>,
        validator: Option<Validator>,
    ) -> Result<Announced, FetchError> {
        let now = self.order.now;
        let refused = |why| self.refused(Manifest::JWS, why);
        let statement =
            Statement::verify(Manifest::TYPE, &jws, &self.root, now).map_err(|why| refused(why.into()))?;
        let manifest: Manifest =
            serde_json::from_slice(statement.payload()).map_err(|e| refused(Unfit::unreadable(e)))?;
        if manifest.version != 1 {
            return Err(refused(Unfit::Version(manifest.version)));
        }
        let wanted = self.order.area.or(self.state.as_ref().map(|state| state.area));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != manifest.area) {
            return Err(refused(Unfit::Area {
                is: manifest.area,
                wanted,
            }));
        }
        let old = Predecessors::find(&self.place, self.state.as_ref(), &self.root, &manifest)?;
        let sha256 = HEXLOWER.encode(&Sha256::digest(statement.payload()));
        Seen::demand(old.seen(), manifest.number, &sha256).map_err(refused)?;
        terms::demand_in_date(manifest.made - SLACK, manifest.valid_until, now).map_err(refused)?;
        self.demand_unrevoked(&statement)?;
        let files = listing::listed(&manifest).map_err(refused)?;
        Ok(Announced {
            jws,
            statement,
            manifest,
            files,
            validator,
            old,
        })
    }

    /// Makes sure that the installed publication can still be trusted: the certificate of its signer may have
    /// expired, or been revoked, since it came.
    pub(super) fn demand_signer(&self, current: Option<&Version>) -> Result<(), FetchError> {
        let Some(version) = current else { return Ok(()) };
        let path = version.path(Manifest::JWS);
        let jws = disk::read(&path, LONGEST_MANIFEST)?;
        let statement = Statement::verify(Manifest::TYPE, &jws, &self.root, self.order.now)
            .map_err(|why| self.refused(Manifest::JWS, why.into()))?;
        self.demand_unrevoked(&statement)
    }

    /// Holds the signer against a CRL of the root's that was given. The public area has one of its own.
    fn demand_unrevoked(&self, statement: &Statement) -> Result<(), FetchError> {
        let Some(path) = self.order.root_crl else {
            return Ok(());
        };
        let unfit = |why| FetchError::RootCrl {
            path: Shown(path.to_owned()),
            why,
        };
        let octets = disk::read_given(path, LONGEST_CRL)?;
        let contents = Contents::of(&octets);
        let der = contents
            .only(Kind::Crl)
            .map_err(|e| unfit(Unfit::unreadable(format!("it {e}"))))?;
        let (crl, _) = terms::examine(
            der,
            &self.root,
            "the root that was given",
            None,
            (self.order.now, Ended::Refused),
        )
        .map_err(unfit)?;
        statement
            .demand_unrevoked(&crl)
            .map_err(|why| self.refused(Manifest::JWS, why.into()))
    }

    /// Brings every file of a publication into a new version, and examines them.
    pub(super) fn receive(
        &self,
        source: &Source,
        current: Option<&Version>,
        announced: &Announced,
        version: &mut Version,
    ) -> Result<Received, Attempt> {
        let Announced {
            statement,
            manifest,
            files,
            old,
            ..
        } = announced;
        let (area, group) = (manifest.area, self.order.group);
        let mut changed = Vec::new();
        for path in files {
            let Some(listed) = manifest.listed(path) else {
                continue;
            };
            let there = current.filter(|current| is_listed(current, path, listed));
            let is_there = match there {
                Some(there) => version.take(path, there, area, group)?,
                None => false,
            };
            if !is_there {
                self.download(source, path, listed, version, area)?;
                changed.push((*path).to_owned());
            }
        }
        let json = source.ask(Manifest::JSON, None, LONGEST_MANIFEST);
        let json = json.and_then(|answer| match answer {
            Answer::Same => Err(SourceError::Status(304)),
            Answer::File { mut octets, .. } => whole(&mut *octets, LONGEST_MANIFEST),
        });
        let json = json.map_err(|why| self.unavailable(Manifest::JSON, why))?;
        if json != statement.payload() {
            return Err(Attempt::Torn {
                file: self.order.source.file(Manifest::JSON),
                why: format!("is not what {} says", Manifest::JWS),
            });
        }
        let examination = Examination {
            version,
            manifest,
            statement,
            root: &self.root,
            seen: self.state.as_ref(),
            now: self.order.now,
        };
        let content = content::examine(&examination);
        let named = |fault: Fault| fault.named(|path| self.order.source.file(path));
        let content = content.map_err(named)?;
        let lost = self.lost();
        // The same once more takes nothing back.
        let unproven = if old.seen().is_some_and(|seen| seen.number == manifest.number) {
            Unproven {
                lost,
                ..Unproven::default()
            }
        } else {
            let succession = Succession {
                old,
                new: version,
                manifest,
                lost: &lost,
                confirmed: self.order.confirmed,
                now: self.order.now,
            };
            succession.examine().map_err(named)?
        };
        let history = self.history(old, version, manifest, statement)?;
        // What has the first of them is whole and has held: `Version::is_whole` goes by this order.
        for (name, octets) in [(Manifest::JWS, &announced.jws), (Manifest::JSON, &json)] {
            let mut file = version.create(name, area, group)?;
            file.write(octets)?;
            file.finish()?;
        }
        version.sync()?;
        Ok(Received {
            changed,
            content,
            unproven,
            history,
        })
    }

    /// Holds the history of the ledger against what was seen of it: last of all, for what the lists say tells
    /// more.
    fn history(
        &self,
        old: &Predecessors,
        version: &Version,
        manifest: &Manifest,
        statement: &Statement,
    ) -> Result<Option<SeenEnd>, FetchError> {
        if manifest.area == Area::Public {
            return Ok(None);
        }
        let named = |fault: Fault| fault.named(|path| self.order.source.file(path));
        // One that is not what it was when it came vouches for nothing.
        let known = match old.file(HISTORY).map_err(named)? {
            Before::Octets(octets) => Some(octets),
            Before::Absent | Before::Damaged { .. } => None,
        };
        let before = history::Before {
            seen: self.state.as_ref().and_then(|state| state.history.as_ref()),
            history: known,
            is_confirmed: self.order.confirmed.contains(&Confirmation::History),
        };
        let octets = match manifest.listed(HISTORY) {
            Some(_) => read(version, HISTORY).map_err(named)?,
            None => None,
        };
        history::examine(octets.as_deref(), &before, statement, &self.root)
            .map_err(|why| self.refused(HISTORY, why))
    }

    /// Reads one file into a new version, as long as it can still be what the manifest says.
    fn download(
        &self,
        source: &Source,
        path: &str,
        listed: &Listed,
        version: &mut Version,
        area: Area,
    ) -> Result<(), Attempt> {
        let torn = |why: String| Attempt::Torn {
            file: self.order.source.file(path),
            why,
        };
        let mut file = version.create(path, area, self.order.group)?;
        let mut hash = Sha256::new();
        let mut size = 0_u64;
        let answer = source
            .ask(path, None, listed.size)
            .and_then(|answer| match answer {
                Answer::Same => Err(SourceError::Status(304)),
                Answer::File { mut octets, .. } => pour(&mut *octets, listed.size, |piece| {
                    hash.update(piece);
                    size += piece.len() as u64;
                    file.write(piece)
                }),
            });
        match answer {
            Ok(()) if size != listed.size => Err(torn(format!(
                "has {size} octets, and {} by the manifest",
                listed.size
            ))),
            Ok(()) if HEXLOWER.encode(&hash.finalize()) != listed.sha256 => {
                Err(torn("has not the SHA-256 that the manifest says".into()))
            }
            Ok(()) => Ok(file.finish()?),
            Err(SourceError::Missing) => Err(torn("is missing, and the manifest lists it".into())),
            Err(SourceError::TooLong(longest)) => Err(torn(format!(
                "has more than the {longest} octets that the manifest says"
            ))),
            Err(why) => Err(self.unavailable(path, why).into()),
        }
    }
}

/// Whether a version has a file that is what a manifest lists. What cannot be read is read from the source
/// again.
fn is_listed(version: &Version, path: &str, listed: &Listed) -> bool {
    let hash = || {
        let file = version.file(path).ok().flatten()?;
        if file.metadata().ok()?.len() != listed.size {
            return None;
        }
        let mut hash = Sha256::new();
        pour(&mut { file }, listed.size, |piece| {
            hash.update(piece);
            Ok(())
        })
        .ok()?;
        Some(HEXLOWER.encode(&hash.finalize()))
    };
    hash().is_some_and(|hash| hash == listed.sha256)
}

/// All that a reader gives.
pub(super) fn whole(octets: &mut dyn Read, longest: u64) -> Result<Vec<u8>, SourceError> {
    let mut whole = Vec::new();
    pour(octets, longest, |piece| {
        whole.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(whole)
}
