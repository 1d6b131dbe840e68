//! A `[[publish]]` table of `pki.toml`: a target that publications go to, beside the copy in the home, and
//! the rules for such a table.

use std::path::{Component, PathBuf};

use serde::Deserialize;

use super::InvalidConfig;
use crate::disk::Shown;
use crate::publish::{Access, Location, is_endpoint};

/// A `[[publish]]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishTo {
    /// The place of the public half.
    pub public: Option<Location>,
    /// The place of the servers' half.
    pub server: Option<Location>,
    /// The group that may read the servers' half.
    pub group: Option<String>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// The server that has the bucket, where it is not AWS.
    pub endpoint: Option<String>,
    /// The file with the access key to the bucket.
    pub credentials_file: Option<PathBuf>,
    /// The section of that file that has the key.
    pub profile: Option<String>,
    /// The certificates to trust for the endpoint.
    pub ca: Option<PathBuf>,
    /// The command that is run after the publication there has changed.
    pub command: Option<Vec<String>>,
    /// The means by which servers reload what is published there, where no command of the table makes them.
    pub reload: Option<Reload>,
}

impl PublishTo {
    /// The places of its halves.
    pub fn places(&self) -> impl Iterator<Item = &Location> {
        self.public.iter().chain(&self.server)
    }

    /// Whether it is known by what servers reload what was published there.
    pub fn is_followed(&self) -> bool {
        self.command.is_some() || self.reload.is_some()
    }

    /// The parameters for access to its buckets.
    pub fn access(&self) -> Access {
        Access {
            region: self.region.clone().unwrap_or_default(),
            endpoint: self.endpoint.clone(),
            credentials_file: self.credentials_file.clone().unwrap_or_default(),
            profile: self.profile.clone().unwrap_or_else(|| "default".into()),
            ca: self.ca.clone(),
        }
    }
}

/// The means by which servers reload a publication that has changed, where no command of the table makes
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// Something that this program does not start: a unit of systemd, `pki fetch` on another machine.
    Elsewhere,
}

pub(super) fn check_target(target: &PublishTo) -> Result<(), InvalidConfig> {
    let refused = |why| Err(InvalidConfig::Target(why));
    if target.places().next().is_none() {
        return refused("a [[publish]] table needs `public`, `server`, or both");
    }
    let mut directories = target.places().filter_map(Location::directory).peekable();
    let has_directory = directories.peek().is_some();
    for path in directories {
        if !path.is_absolute() {
            return refused("the directories must be absolute paths");
        }
        if path
            .components()
            .any(|component| component == Component::ParentDir)
        {
            // Where it leads depends on links, and the rules of what lies where go by the names.
            return refused("the directories must be written without `..`");
        }
    }
    if target.public.is_some() && target.public == target.server {
        return refused("`public` and `server` must be two places: one of them names employees");
    }
    let is_directory = |place: &Option<Location>| place.as_ref().is_some_and(|p| p.directory().is_some());
    if target.group.is_some() && !is_directory(&target.server) {
        return refused("`group` is for a directory `server`, which is missing");
    }
    if target
        .command
        .as_ref()
        .is_some_and(|c| c.first().is_none_or(String::is_empty))
    {
        return refused("`command` must name a program");
    }
    if target.command.is_some() && target.reload.is_some() {
        return refused("`reload` says that something else does what `command` does: one of them is enough");
    }
    let has_bucket = target.places().any(|place| place.directory().is_none());
    check_access(target, has_bucket)?;
    if has_directory && has_bucket {
        return refused("a directory and a bucket need a table each");
    }
    Ok(())
}

/// What a bucket needs, and a directory does not have.
fn check_access(target: &PublishTo, has_bucket: bool) -> Result<(), InvalidConfig> {
    let refused = |why| Err(InvalidConfig::Target(why));
    let files = [&target.credentials_file, &target.ca];
    let words = [&target.region, &target.endpoint, &target.profile];
    if !has_bucket {
        return match files.iter().any(|file| file.is_some()) || words.iter().any(|word| word.is_some()) {
            true => {
                refused("`region`, `endpoint`, `credentials_file`, `profile` and `ca` are for s3:// places")
            }
            false => Ok(()),
        };
    }
    let is_word = |text: &String| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        !text.is_empty() && text.bytes().all(plain)
    };
    if !target.region.as_ref().is_some_and(is_word) {
        return refused("an s3:// place needs `region`, such as \"eu-central-1\"");
    }
    if target.profile.as_ref().is_some_and(|profile| !is_word(profile)) {
        return refused("`profile` is the name of a section of `credentials_file`");
    }
    if target.credentials_file.is_none() {
        return refused(
            "an s3:// place needs `credentials_file`: the key to it is in no variable and in no other file",
        );
    }
    if files.into_iter().flatten().any(|file| !file.is_absolute()) {
        return refused("`credentials_file` and `ca` must be absolute paths");
    }
    if target
        .endpoint
        .as_ref()
        .is_some_and(|endpoint| !is_endpoint(endpoint))
    {
        return refused("`endpoint` is an https:// URL of a host, or http:// of this machine");
    }
    Ok(())
}

/// Each place is one area's alone: in a shared one the areas would overwrite each other's manifest, and a web
/// server that serves the one above would hand out the list of employees below it.
pub(super) fn demand_apart(targets: &[PublishTo]) -> Result<(), InvalidConfig> {
    let names: Vec<PathBuf> = targets
        .iter()
        .flat_map(PublishTo::places)
        .map(Location::name)
        .collect();
    let twice = names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name));
    if let Some((_, name)) = twice {
        return Err(InvalidConfig::Twice(Shown(name.clone())));
    }
    let apart = |(i, one): (usize, &PathBuf)| {
        let others = names.iter().enumerate().filter(|(j, _)| *j != i);
        others.into_iter().all(|(_, other)| !one.starts_with(other))
    };
    if names.iter().enumerate().all(apart) {
        Ok(())
    } else {
        Err(InvalidConfig::Target(
            "each place must be another one, and none may lie in another",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn a_table_that_was_pasted_twice_is_named() {
        let table = "[[publish]]\npublic = \"/p\"\n";
        let said = Config::parse(&format!("{table}{table}")).unwrap_err().to_string();
        assert!(said.contains("/p is named twice"), "{said}");
    }
}
