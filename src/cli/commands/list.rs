use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::ca;
use crate::model::{Employee, Serial, Span, Status};

use crate::cli::context::{Addressee, Context, ahead, meant, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::report::{Row, table};
use crate::cli::words::Words;

/// List the certificates, by person and device
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki list
  pki list alice                         hers; alice/phone is one device
  pki list --status revoked --csv > revoked.csv
  pki list --expiring 30d --check        exit code 3 if there are any: for monitoring
  pki list --json | jq '.devices[] | select(.status == \"valid\") | .address'")]
pub struct Args {
    /// Only this person's or this device's: EMPLOYEE or EMPLOYEE/DEVICE [default: all]
    #[arg(value_name = "ADDRESS", value_hint = clap::ValueHint::Other)]
    whom: Option<Addressee>,
    /// Only this person's
    #[arg(long, conflicts_with = "whom", value_name = "EMPLOYEE", value_hint = clap::ValueHint::Other)]
    employee: Option<Employee>,
    /// Only these
    #[arg(long, value_name = "STATUS", value_parser = Words::new(&Status::ALL, Status::word))]
    status: Option<Status>,
    /// Only what is to be renewed: valid ones that end within this time, and the last ones of devices that
    /// have none any more
    #[arg(long, value_name = "DURATION", value_parser = ahead)]
    expiring: Option<Span>,
    /// Exit with 3 where the list is not empty
    #[arg(long)]
    check: bool,
    /// As CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Debug, Serialize)]
struct List {
    devices: Vec<Row>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.devices.is_empty() {
            return Ok(());
        }
        let mut lines = table(&["DEVICE", "STATUS", "UNTIL", "SERIAL"]);
        for row in &self.devices {
            let status = match row.reason {
                Some(reason) => format!("{} ({reason})", row.status),
                None => row.status.to_string(),
            };
            lines.add_row([
                row.address.to_string(),
                status,
                row.not_after.date(),
                row.serial.to_string(),
            ]);
        }
        f.write_str(&crate::cli::report::lines(&lines))
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open_despite_config()?;
    let store = context.read(&home)?;
    let now = system_clock();
    let mut records = Vec::new();
    // A filter that matches nothing is no error; a name that was mistyped should be noticed all the same.
    let whom = args.whom.or(args.employee.map(Addressee::Employee));
    let mut is_known = true;
    match &whom {
        Some(Addressee::Employee(employee)) => {
            records = store.employee(employee)?;
            is_known = !records.is_empty() || store.offboarded(employee)?.is_some();
        }
        Some(Addressee::Device(address)) => {
            records = store.device(address)?;
            is_known = !records.is_empty();
        }
        // The canaries of `pki check` are nobody's devices, and each check leaves one behind.
        None => store.records(&mut |record| {
            if !record.address.is_reserved() {
                records.push(record);
            }
            Ok(())
        })?,
    }
    if let (Some(whom), false) = (&whom, is_known) {
        context.ui.warn(whom.unknown());
        let text = whom.to_string();
        let near = match whom {
            Addressee::Employee(employee) => ca::mistakable_person(&store, employee)?,
            Addressee::Device(address) => ca::mistakable(&store, address)?,
        };
        if Status::ALL.iter().any(|status| status.word() == text) {
            context.ui.hint(format!("`pki list --status {text}`"));
        } else if let Some(question) = meant(&near) {
            context.ui.hint(question);
        }
    }
    let to_renew = match args.expiring {
        None => None,
        Some(within) => {
            let (ending, lapsed) = ca::ends(&store, now, within)?;
            let all = ending.into_iter().chain(lapsed);
            Some(all.map(|record| record.serial).collect::<BTreeSet<Serial>>())
        }
    };
    // Whoever reads the list may take her time, and an open index keeps others out.
    drop(store);
    records.retain(|record| {
        let is_meant = to_renew
            .as_ref()
            .is_none_or(|serials| serials.contains(&record.serial));
        args.status.is_none_or(|wanted| wanted == record.status(now)) && is_meant
    });
    records.sort_by(|a, b| (&a.address, a.seq).cmp(&(&b.address, b.seq)));
    let list = List {
        devices: records.iter().map(|record| Row::new(record, now)).collect(),
    };
    let found = !list.devices.is_empty();
    if args.csv {
        context.ui.out(csv_text(&list.devices)?)?;
    } else {
        context.ui.report(&list)?;
    }
    if !found && !context.ui.json && !args.csv {
        context.ui.say("nothing to list");
    }
    Ok(if args.check && found {
        Exit::Found
    } else {
        Exit::Done
    })
}

fn csv_text(rows: &[Row]) -> Result<String, Failure> {
    let broken = |e: csv::Error| Failure::new(Exit::Bug, "bug", e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record([
            "address",
            "employee",
            "device",
            "serial",
            "status",
            "not_before",
            "not_after",
            "revoked_at",
            "reason",
        ])
        .map_err(broken)?;
    for row in rows {
        writer
            .write_record([
                row.address.to_string(),
                row.employee.clone(),
                row.device.clone(),
                row.serial.to_string(),
                row.status.to_string(),
                row.not_before.to_string(),
                row.not_after.to_string(),
                row.revoked_at.map_or(String::new(), |t| t.to_string()),
                row.reason.map_or(String::new(), |r| r.to_string()),
            ])
            .map_err(broken)?;
    }
    let octets = writer
        .into_inner()
        .map_err(|e| Failure::new(Exit::Bug, "bug", e))?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}
