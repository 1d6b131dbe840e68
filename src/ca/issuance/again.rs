//! Writes out again a certificate that was issued before for a device's own key; nothing new is signed.

use super::Issuance;
use super::plan::{KeyRequest, Request};
use crate::ca::CaError;
use crate::ca::delivery::file_names::with_extension;
use crate::ca::delivery::output_dir::OutputDir;
use crate::ca::session::Session;
use crate::disk;
use crate::model::Status;

/// Writes the certificate of a device's own key once more, where that key has a valid one: the same request
/// again after a kill, or after the file was lost.
///
/// # Errors
/// Where it cannot be written.
pub fn hand_out_again(
    session: &Session<'_>,
    request: &Request,
    output: &mut OutputDir,
) -> Result<Option<Issuance>, CaError> {
    let KeyRequest::Own(public_key) = &request.key else {
        return Ok(None);
    };
    let history = session.store.device(&request.holder.address)?;
    let same = history.iter().rev().find(|record| {
        record.status(session.now) == Status::Valid && record.spki_sha256 == public_key.spki_sha256()
    });
    let Some(record) = same else { return Ok(None) };
    let Some(issued) = session.store.issued(record)? else {
        return Ok(None);
    };
    let chain = session.desk.home.chain();
    let text = chain.fullchain(&issued.certificate);
    output.make()?;
    let place = with_extension(&output.stem(&record.address, record.serial, &[])?, "crt");
    disk::create_private(&place, text.as_bytes())?;
    Ok(Some(Issuance {
        address: issued.address,
        serial: issued.serial,
        validity: issued.validity,
        platform: issued.platform,
        form: None,
        files: vec![place],
        remarks: Vec::new(),
        supersedes: Vec::new(),
        lost: 0,
        cancelled: Vec::new(),
    }))
}
