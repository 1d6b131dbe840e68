//! The reports that several verbs share: one certificate of the inventory, and a certificate that was issued.

use std::fmt;
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, presets};
use console::measure_text_width;
use serde::Serialize;

use crate::ca::Issuance;
use crate::model::draft::Remark;
use crate::model::{Address, Form, InviteId, Pin, Platform, Reason, Record, Role, Serial, Status, Time};

use super::columns::Columns;
use super::streams;

/// One certificate of the inventory.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// `alice/phone`.
    pub address: Address,
    /// `alice`.
    pub employee: String,
    /// `phone`.
    pub device: String,
    /// Its serial number.
    pub serial: Serial,
    /// Its status now.
    pub status: Status,
    /// The start of the validity period (notBefore), inclusive.
    pub not_before: Time,
    /// The end of the validity period (notAfter), inclusive.
    pub not_after: Time,
    /// The time of its revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// The reason of its revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Row {
    /// The row for a record, with its status at `now`.
    pub fn new(record: &Record, now: Time) -> Self {
        let revocation = record.revocation();
        Self {
            address: record.address.clone(),
            employee: record.address.employee.to_string(),
            device: record.address.device.to_string(),
            serial: record.serial,
            status: record.status(now),
            not_before: record.validity.not_before,
            not_after: record.validity.not_after,
            revoked_at: revocation.map(|r| r.at),
            reason: revocation.map(|r| r.reason),
        }
    }
}

/// A plain table.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    table
}

/// The table's text, without the blanks at the edges that would cost a narrow terminal its last column. On a
/// terminal that is narrower all the same, its rows are folded.
pub fn lines(table: &Table) -> String {
    let lines = table.to_string();
    let trimmed = lines
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    match streams::stdout_columns() {
        Some(columns) if trimmed.clone().any(|line| measure_text_width(line) > columns) => {
            folded(table, columns)
        }
        _ => trimmed.map(|line| format!("{line}\n")).collect(),
    }
}

/// Each row in as many lines as it needs.
fn folded(table: &Table, columns: usize) -> String {
    let rows: Vec<Vec<String>> = table
        .header()
        .into_iter()
        .chain(table.row_iter())
        .map(|row| row.cell_iter().map(|cell| cell.content().to_owned()).collect())
        .collect();
    let mut columns = Columns::new(Some(columns));
    rows.iter().for_each(|row| columns.fit(row));
    rows.iter().map(|row| columns.lines(row)).collect()
}

/// A certificate that was issued.
#[derive(Debug, Serialize)]
pub struct IssuedReport {
    address: Address,
    serial: Serial,
    not_before: Time,
    not_after: Time,
    #[serde(rename = "for")]
    platform: Platform,
    #[serde(skip_serializing_if = "Option::is_none")]
    p12: Option<Form>,
    files: Vec<String>,
    supersedes: Vec<Serial>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancelled: Vec<InviteId>,
    remarks: Vec<Remark>,
}

impl IssuedReport {
    /// Adds files that were written beside the bundle.
    pub fn add(&mut self, files: Vec<PathBuf>) {
        self.files
            .extend(files.iter().map(|file| file.display().to_string()));
    }
}

impl From<&Issuance> for IssuedReport {
    fn from(issuance: &Issuance) -> Self {
        Self {
            address: issuance.address.clone(),
            serial: issuance.serial,
            not_before: issuance.validity.not_before,
            not_after: issuance.validity.not_after,
            platform: issuance.platform,
            p12: issuance.form,
            files: issuance
                .files
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            supersedes: issuance.supersedes.clone(),
            cancelled: issuance.cancelled.iter().map(|invite| invite.id).collect(),
            remarks: issuance.remarks.clone(),
        }
    }
}

impl fmt::Display for IssuedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| writeln!(f, "{file}"))
    }
}

impl IssuedReport {
    /// The address of the device that it belongs to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The result in words: the expiry, and where the bundle is.
    pub fn result(&self) -> String {
        format!(
            "issued until {}  {}",
            self.not_after.date(),
            self.files.first().map_or("", String::as_str)
        )
    }
}

/// The report of what a dry run would do, for scripts; a person was told while it was found out.
#[derive(Debug, Serialize)]
pub struct DryRun {
    dry_run: bool,
    would: Vec<String>,
}

impl DryRun {
    /// The report of a dry run that would do this.
    pub fn new(would: Vec<String>) -> Self {
        Self { dry_run: true, would }
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Formats a key of a server as a line of at most 80 columns.
pub fn key_line(role: Role, pin: Pin, since: Time) -> String {
    let role = role.to_string();
    format!("  {role:<9} {pin}  since {}", since.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_folded_between_cells_where_the_terminal_is_narrow() {
        let mut devices = table(&["DEVICE", "STATUS", "SERIAL"]);
        devices.add_row([
            "alice/phone",
            "revoked (lost)",
            "03D5E7B4C0A34F6C8F2D1B7E9A605C11",
        ]);
        devices.add_row(["bob/phone", "valid", "427F9FC9CE6F86F39C8C816F52B09B0D"]);
        assert_eq!(
            folded(&devices, 40),
            "DEVICE       STATUS\n  SERIAL\n\
             alice/phone  revoked (lost)\n  03D5E7B4C0A34F6C8F2D1B7E9A605C11\n\
             bob/phone    valid\n  427F9FC9CE6F86F39C8C816F52B09B0D\n"
        );
        // What is wider than the terminal stands alone.
        assert!(
            folded(&devices, 10)
                .lines()
                .all(|line| line.split("  ").filter(|s| !s.is_empty()).count() == 1)
        );
    }
}
