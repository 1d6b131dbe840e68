//! Names and numbers of accounts and groups, as the system knows them.

use std::io;
use std::path::Path;

use super::{DiskError, failed};

/// The name of an account, as the system knows it: of `/etc/passwd`, LDAP, SSSD, or whatever else it asks
/// (NSS).
pub fn account(uid: u32) -> Option<String> {
    let found = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    found.ok().flatten().map(|user| user.name)
}

/// The name of an account, or its number, for people.
pub fn account_name(uid: u32) -> String {
    account(uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// The operation that fails where this account is no member of a group.
pub(super) const TO_GROUP: &str = "given to its group";

impl DiskError {
    /// Whether the error is that a file could not be given to a group: this account is no member of it.
    pub fn is_of_group(&self) -> bool {
        self.deed == TO_GROUP && self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Whether this account may give its files to a group.
pub(super) fn is_member(group: u32) -> io::Result<bool> {
    let groups = rustix::process::getgroups()?;
    Ok(rustix::process::geteuid().is_root()
        || rustix::process::getegid().as_raw() == group
        || groups.iter().any(|own| own.as_raw() == group))
}

/// The number of a group, by its name, as the system knows it, or by itself.
///
/// # Errors
/// Where there is none of that name, or the system cannot tell.
pub fn group_number(name: &str) -> Result<u32, DiskError> {
    use nix::errno::Errno;
    let refused = |why: io::Error| failed("looked up", Path::new(name))(why);
    let found = match nix::unistd::Group::from_name(name) {
        // Some name services say so where they know no such name (getgrnam_r(3)).
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => None,
        found => found.map_err(|errno| refused(errno.into()))?,
    };
    let number = found
        .map(|group| group.gid.as_raw())
        .or_else(|| name.parse().ok());
    number.ok_or_else(|| refused(io::Error::other(format!("there is no group {name}"))))
}
