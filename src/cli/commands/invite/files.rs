//! The files of an invite: a sheet to print, and its code as pictures. All of them are secret.

use std::path::{Path, PathBuf};

use minijinja::{Environment, context};

use crate::bundle::Code;
use crate::ca::CaError;
use crate::cli::error::Failure;
use crate::disk;
use crate::model::invite::Invite;

/// The sheet: one page, A4 or Letter.
const SHEET: &str = include_str!("../../../../templates/invite/sheet.html");

/// What stands on a sheet.
pub struct Sheet<'a> {
    /// The organization, as in certificates.
    pub organization: &'a str,
    /// The invite.
    pub invite: &'a Invite,
    /// The link, with the secret.
    pub link: &'a str,
    /// The link as a QR code.
    pub code: &'a Code,
    /// Whether whoever enrolls is asked for six digits.
    pub asks_for_digits: bool,
}

/// Writes the files into a directory that there is, in place of those of an invite before, and says where
/// they are.
///
/// # Errors
/// Where one of them cannot be written.
pub fn write(directory: &Path, sheet: &Sheet<'_>) -> Result<Vec<PathBuf>, Failure> {
    let address = &sheet.invite.address;
    let stem = format!("{}-{}.invite", address.employee, address.device);
    let png = sheet.code.to_png().map_err(CaError::from)?;
    let mut written = Vec::new();
    for (extension, octets) in [
        ("html", rendered(sheet).into_bytes()),
        ("png", png),
        ("svg", sheet.code.to_svg().into_bytes()),
    ] {
        let place = directory.join(format!("{stem}.{extension}"));
        disk::replace(&place, disk::PRIVATE_FILE, &octets).map_err(CaError::from)?;
        written.push(place);
    }
    Ok(written)
}

/// The sheet as HTML, every value escaped.
fn rendered(sheet: &Sheet<'_>) -> String {
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
            svg => sheet.code.to_svg(),
            asks_for_digits => sheet.asks_for_digits,
        })
    });
    page.expect("the sheet's template is ours, and tested")
}
