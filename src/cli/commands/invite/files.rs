//! The files of invites: for each a sheet to print, and its code as pictures. All of them are secret.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use minijinja::{Environment, context};
use rayon::prelude::*;

use crate::bundle::{BundleError, Code};
use crate::ca::CaError;
use crate::cli::error::Failure;
use crate::disk::{self, DiskError, Staged};
use crate::model::Address;
use crate::model::invite::Invite;

/// The sheet: one page, A4 or Letter.
const SHEET: &str = include_str!("../../../../templates/invite/sheet.html");

/// How many invites have their files written together.
const TOGETHER: usize = 64;

/// What stands on a sheet.
pub struct Sheet<'a> {
    /// The organization, as in certificates.
    pub organization: &'a str,
    /// The invite.
    pub invite: &'a Invite,
    /// The link, with the secret.
    pub link: &'a str,
    /// Whether whoever enrolls is asked for six digits.
    pub asks_for_digits: bool,
    /// The secret as it is typed, where the page hands out a file for it.
    pub typed: Option<String>,
}

/// What the names of an invite's files end with.
const ENDINGS: [&str; 3] = [".html", ".png", ".svg"];
/// The longest sheet, in octets.
const LONGEST: u64 = 1 << 20;

/// Writes the files of invites into a directory that there is, in place of those of invites before, and says
/// where they are. `progress` is told how many invites have theirs.
///
/// # Errors
/// Where one of them cannot be written.
pub fn write(
    directory: &Path,
    sheets: &[Sheet<'_>],
    progress: &dyn Fn(usize),
) -> Result<Vec<Vec<PathBuf>>, Failure> {
    let stems = stems(directory, sheets);
    let own: HashSet<String> = stems
        .iter()
        .flat_map(|stem| ENDINGS.map(|ending| format!("{stem}{ending}")))
        .collect();
    // What a run that was killed has left has secrets in it.
    let _at_work = disk::at_work(directory, |name| own.contains(name), is_of_an_invite);
    let work: Vec<(&Sheet<'_>, PathBuf)> = sheets
        .iter()
        .zip(stems.iter().map(|stem| directory.join(stem)))
        .collect();
    let mut written = Vec::with_capacity(sheets.len());
    for some in work.chunks(TOGETHER) {
        let made: Vec<Vec<(PathBuf, Vec<u8>)>> = some
            .par_iter()
            .map(|(sheet, stem)| files(sheet, stem))
            .collect::<Result<_, _>>()
            .map_err(CaError::from)?;
        let all = made.iter().flatten();
        let all = all.map(|(place, octets)| (place.as_path(), octets.as_slice()));
        put_in_place(directory, all).map_err(CaError::from)?;
        written.extend(
            made.into_iter()
                .map(|files| files.into_iter().map(|(place, _)| place).collect()),
        );
        progress(some.len());
    }
    Ok(written)
}

/// How the files of each invite are called: for its device, and where two devices would have one name
/// (`a-b/c` and `a/b-c`), also that of a sheet that is there, for the invite as well.
fn stems(directory: &Path, sheets: &[Sheet<'_>]) -> Vec<String> {
    let mut taken = HashSet::new();
    let named = sheets.iter().map(|sheet| {
        let address = &sheet.invite.address;
        let stem = address.file_stem();
        let there = directory.join(format!("{stem}.invite.html"));
        match taken.insert(stem.clone()) && !is_of_another(&there, address) {
            true => format!("{stem}.invite"),
            false => format!("{stem}-{}.invite", sheet.invite.id),
        }
    });
    named.collect()
}

/// Whether a sheet is there, and is for another device.
fn is_of_another(there: &Path, address: &Address) -> bool {
    // As the sheet's template escapes it.
    let own = format!("<strong>{}</strong>", address.to_string().replace('/', "&#x2f;"));
    disk::read(there, LONGEST).is_ok_and(|sheet| !String::from_utf8_lossy(&sheet).contains(&own))
}

/// Whether a file of this name is one that is written here.
pub fn is_of_an_invite(name: &str) -> bool {
    name.contains(".invite.") && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The files of an invite, with their places.
fn files(sheet: &Sheet<'_>, stem: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, BundleError> {
    let code = Code::new(sheet.link)?;
    let svg = code.to_svg();
    let place = |extension: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    Ok(vec![
        (place(".html"), rendered(sheet, &svg).into_bytes()),
        (place(".png"), code.to_png()?),
        (place(".svg"), svg.into_bytes()),
    ])
}

fn put_in_place<'a>(
    directory: &Path,
    files: impl Iterator<Item = (&'a Path, &'a [u8])>,
) -> Result<(), DiskError> {
    let staged = disk::stage_many(files)?;
    disk::sync_many(directory, &staged)?;
    staged.into_iter().try_for_each(Staged::replace)?;
    disk::sync_directory(directory)
}

/// The sheet as HTML, every value escaped.
fn rendered(sheet: &Sheet<'_>, svg: &str) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    let page = environment.template_from_named_str("sheet.html", SHEET);
    let page = page.and_then(|page| {
        page.render(context! {
            organization => sheet.organization,
            address => sheet.invite.address.to_string(),
            name => sheet.invite.name.as_ref().map(|name| name.as_str()),
            until => sheet.invite.until.in_words(),
            link => sheet.link,
            svg,
            asks_for_digits => sheet.asks_for_digits,
            page => sheet.link.split('#').next(),
            typed => &sheet.typed,
        })
    });
    page.expect("the sheet's template is ours, and tested")
}
