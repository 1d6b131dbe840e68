//! Reads the list of people: a CSV file of employees and their devices, as a personnel department writes it.

use std::collections::HashMap;

use crate::ca::IssuanceError;
use crate::model::contents;
use crate::model::text::quoted;
use crate::model::{Address, Email, PersonName, Platform};

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The line of the row in the file.
    pub line: u64,
    /// The address of the device.
    pub address: Address,
    /// The full name of the person.
    pub name: Option<PersonName>,
    /// Her e-mail address.
    pub email: Option<Email>,
    /// The platform of the device.
    pub platform: Option<Platform>,
    /// The life of the certificate in days; none for the profile's default.
    pub days: Option<i64>,
}

/// The reason for which a list is refused. Nothing of it was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// The file is not UTF-8 text.
    #[error("line {0} is not UTF-8 text (saved as Latin-1 or Windows-1252?)")]
    NotUtf8(u64),
    /// The file has no header or no rows.
    #[error("the list is empty")]
    Empty,
    /// The columns are separated as some countries' spreadsheets do.
    #[error("its cells are separated by semicolons: they must be separated by commas")]
    Semicolons,
    /// The columns are separated by tabs, as in a text file of a spreadsheet.
    #[error("its cells are separated by tabs: they must be separated by commas")]
    Tabs,
    /// The file is in UTF-16, as Excel saves its "Unicode text".
    #[error("it is in UTF-16: save it as \"CSV UTF-8\"")]
    Utf16,
    /// A spreadsheet's own file.
    #[error("it is a workbook of a spreadsheet: save it as \"CSV UTF-8\"")]
    Workbook,
    /// The header lacks a column.
    #[error("the column \"{0}\" is missing in the header")]
    MissingColumn(&'static str),
    /// The header has a column that is not known.
    #[error("the column {0} is not known (known are employee, device, name, email, for, days)")]
    UnknownColumn(String),
    /// The header has a column twice.
    #[error("the column {0} is there twice")]
    RepeatedColumn(String),
    /// Rows that make no sense; the first of them, and how many there are.
    #[error("{} of its rows cannot be used:\n{}", .0.len(), shown(.0))]
    Rows(Vec<(u64, String)>),
}

const COLUMNS: [&str; 6] = ["employee", "device", "name", "email", "for", "days"];
/// How many bad rows an error names.
const SHOWN: usize = 20;

fn shown(rows: &[(u64, String)]) -> String {
    let mut lines: Vec<String> = rows
        .iter()
        .take(SHOWN)
        .map(|(line, why)| format!("  line {line}: {why}"))
        .collect();
    if rows.len() > SHOWN {
        lines.push(format!("  and {} more", rows.len() - SHOWN));
    }
    lines.join("\n")
}

/// Reads the whole list. A byte-order mark is passed over; line ends may be LF or CRLF; `device` may be left
/// empty for `default`.
///
/// # Errors
/// Every row that cannot be used, all in one error.
pub fn read_people(octets: &[u8], default: &crate::model::Device) -> Result<Vec<Person>, PeopleError> {
    if contents::is_utf16(octets) {
        return Err(PeopleError::Utf16);
    }
    // What .xlsx and .ods begin with, and .xls.
    if octets.starts_with(b"PK\x03\x04") || octets.starts_with(b"\xD0\xCF\x11\xE0") {
        return Err(PeopleError::Workbook);
    }
    let octets = contents::without_mark(octets);
    if let Err(error) = std::str::from_utf8(octets) {
        let before = &octets[..error.valid_up_to()];
        return Err(PeopleError::NotUtf8(
            1 + before.iter().filter(|o| **o == b'\n').count() as u64,
        ));
    }
    let list = without_separator(octets);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(list);
    let header = reader
        .headers()
        .map_err(|e| PeopleError::Rows(vec![(1, e.to_string())]))?
        .clone();
    if header.iter().all(str::is_empty) {
        return Err(PeopleError::Empty);
    }
    if header.iter().all(|title| title.is_empty() || title.contains(';')) {
        return Err(PeopleError::Semicolons);
    }
    if header
        .iter()
        .all(|title| title.is_empty() || title.contains('\t'))
    {
        return Err(PeopleError::Tabs);
    }
    let columns = columns(&header)?;
    let mut people = Vec::new();
    let mut bad = Vec::new();
    let mut seen: HashMap<Address, u64> = HashMap::new();
    let before = octets.len() - list.len();
    let mut lines = Lines {
        octets: list,
        at: 0,
        line: 1 + octets[..before].iter().filter(|octet| **octet == b'\n').count() as u64,
    };
    for record in reader.records() {
        let row = match record {
            Ok(row) => row,
            Err(error) => {
                bad.push((lines.line(error.position()), error.to_string()));
                continue;
            }
        };
        let line = lines.line(row.position());
        if row.iter().all(str::is_empty) {
            continue;
        }
        let person = demand_fit(&row, &header).and_then(|()| person(&row, &columns, line, default));
        match person {
            Err(why) => bad.push((line, why)),
            Ok(person) => match seen.insert(person.address.clone(), line) {
                Some(first) => bad.push((line, format!("{} is in line {first} already", person.address))),
                None => people.push(person),
            },
        }
    }
    match (bad.is_empty(), people.is_empty()) {
        (false, _) => Err(PeopleError::Rows(bad)),
        (true, true) => Err(PeopleError::Empty),
        (true, false) => Ok(people),
    }
}

/// Without the line by which Excel is told the separator. One that tells another stays, and is taken for the
/// header.
fn without_separator(octets: &[u8]) -> &[u8] {
    let end = octets
        .iter()
        .position(|octet| *octet == b'\n')
        .map_or(octets.len(), |end| end + 1);
    let (first, rest) = octets.split_at(end);
    let first = first.to_ascii_lowercase();
    match first.trim_ascii_end() {
        b"sep=," | b"\"sep=,\"" => rest,
        _ => octets,
    }
}

/// A row has a cell for every title. Spreadsheets write empty columns behind the list or between; what stands
/// in one is nobody's.
fn demand_fit(row: &csv::StringRecord, header: &csv::StringRecord) -> Result<(), String> {
    let titled = (0..header.len()).rev().find(|place| !header[*place].is_empty());
    let titled = titled.map_or(0, |last| last + 1);
    let behind = row.iter().skip(header.len()).any(|cell| !cell.is_empty());
    if row.len() < titled || behind {
        return Err(format!(
            "it has {} cells, and the header has {}",
            row.len(),
            header.len()
        ));
    }
    let stray = header
        .iter()
        .zip(row)
        .find(|(title, cell)| title.is_empty() && !cell.is_empty());
    match stray {
        Some((_, cell)) => Err(format!("{} stands in a column that has no title", quoted(cell))),
        None => Ok(()),
    }
}

/// Counts lines as an editor does. The reader of CSV counts otherwise: for it the second half of a CRLF and
/// empty lines belong to the row behind them.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a row that stands behind every row asked for before.
    fn line(&mut self, row: Option<&csv::Position>) -> u64 {
        let begins = row.and_then(|row| usize::try_from(row.byte()).ok());
        let rest = self.octets.get(begins.unwrap_or(self.at)..).unwrap_or_default();
        let ends = rest
            .iter()
            .take_while(|octet| matches!(octet, b'\r' | b'\n'))
            .count();
        let begins = self.octets.len() - rest.len() + ends;
        let between = self.octets.get(self.at..begins).unwrap_or_default();
        self.line += between.iter().filter(|octet| **octet == b'\n').count() as u64;
        self.at = begins;
        self.line
    }
}

/// Where each known column is.
fn columns(header: &csv::StringRecord) -> Result<HashMap<&'static str, usize>, PeopleError> {
    let mut columns = HashMap::new();
    let titles = header.iter().enumerate();
    for (place, title) in titles.filter(|(_, title)| !title.is_empty()) {
        let known = COLUMNS
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(title));
        let known = known.ok_or_else(|| PeopleError::UnknownColumn(quoted(title)))?;
        if columns.insert(known, place).is_some() {
            return Err(PeopleError::RepeatedColumn(quoted(title)));
        }
    }
    match ["employee", "device"]
        .into_iter()
        .find(|needed| !columns.contains_key(needed))
    {
        Some(missing) => Err(PeopleError::MissingColumn(missing)),
        None => Ok(columns),
    }
}

fn person(
    row: &csv::StringRecord,
    columns: &HashMap<&'static str, usize>,
    line: u64,
    default: &crate::model::Device,
) -> Result<Person, String> {
    let cell = |column: &str| {
        columns
            .get(column)
            .and_then(|place| row.get(*place))
            .filter(|text| !text.is_empty())
    };
    for column in COLUMNS {
        // A spreadsheet that opens the list, or a table made of it, would run such a cell.
        if let Some(text) = cell(column).filter(|text| text.starts_with(['=', '+', '-', '@'])) {
            return Err(format!(
                "{column} {} begins like a spreadsheet formula",
                quoted(text)
            ));
        }
    }
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let employee = cell("employee")
        .ok_or("employee is empty")?
        .parse()
        .map_err(|e| text(&e))?;
    let device = match cell("device") {
        Some(device) => device.parse().map_err(|e| text(&e))?,
        None => default.clone(),
    };
    let address = Address::new(employee, device);
    address.demand_no_serial().map_err(|e| text(&e))?;
    if address.is_reserved() {
        return Err(IssuanceError::Reserved(address).to_string());
    }
    Ok(Person {
        line,
        address,
        name: cell("name").map(str::parse).transpose().map_err(|e| text(&e))?,
        email: cell("email").map(str::parse).transpose().map_err(|e| text(&e))?,
        platform: cell("for")
            .map(|word| word.to_ascii_lowercase().parse())
            .transpose()
            .map_err(|e| text(&e))?,
        days: cell("days").map(str::parse).transpose().map_err(|_| {
            format!(
                "days {} is not a number",
                quoted(cell("days").unwrap_or_default())
            )
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Person>, PeopleError> {
        read_people(text, &"phone".parse().unwrap())
    }

    #[test]
    fn a_list_from_a_spreadsheet_is_read() {
        let people = read(
            "\u{FEFF}Employee,device,NAME,days\r\nalice,phone,\"Doe, Alice\",30\r\nbob,,,\r\n\r\n".as_bytes(),
        )
        .unwrap();
        assert_eq!(people.len(), 2);
        assert_eq!(people[0].name.as_ref().unwrap().as_str(), "Doe, Alice");
        assert_eq!(
            (people[0].days, people[1].address.to_string().as_str()),
            (Some(30), "bob/phone")
        );
    }

    #[test]
    fn what_spreadsheets_add_is_passed_over_and_what_nobody_can_place_is_not() {
        for list in [
            &b"employee,device,,\na,phone,,\n,,,\nb,phone,,\n"[..],
            b"employee,,device\r\na,,phone\r\nb,,phone\r\n",
            b"employee,device\na,phone,,\nb,phone\n",
            b"employee,device,,\na,phone\nb,phone,\n",
            b"sep=,\r\nemployee,device\r\na,phone\r\nb,phone\r\n",
            b"\xEF\xBB\xBF\"sep=,\"\nemployee,device\na,phone\nb,phone\n",
        ] {
            let people = read(list).unwrap();
            let who: Vec<_> = people.iter().map(|person| person.address.to_string()).collect();
            assert_eq!(who, ["a/phone", "b/phone"]);
        }
        let PeopleError::Rows(rows) = read(b"sep=,\nemployee,device,,\na,phone,,x\nb\n").unwrap_err() else {
            panic!("the list is read")
        };
        let [(3, stray), (4, short)] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!(stray, "\"x\" stands in a column that has no title");
        assert_eq!(short, "it has 1 cells, and the header has 4");
        for (list, why) in [
            (&b"sep=;\nemployee;device\n"[..], PeopleError::Semicolons),
            (b"employee;device;;,\n", PeopleError::Semicolons),
            (b"employee\tdevice\na\tphone\n", PeopleError::Tabs),
            (b"\xFF\xFEe\0m\0", PeopleError::Utf16),
            (b"e\0m\0p\0", PeopleError::Utf16),
            (b"PK\x03\x04\x14", PeopleError::Workbook),
        ] {
            assert_eq!(read(list).unwrap_err(), why);
        }
    }

    #[test]
    fn every_bad_row_is_named_at_once() {
        let error =
            read(b"employee,device,name\nAlice,phone,\nbob,phone,=1+1\nbob,phone,\nbob,phone,\nx,y\n")
                .unwrap_err();
        let PeopleError::Rows(rows) = &error else {
            panic!("{error}")
        };
        assert_eq!(
            rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [2, 3, 5, 6]
        );
        assert!(
            error
                .to_string()
                .contains("line 5: bob/phone is in line 4 already"),
            "{error}"
        );
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let list = b"employee,device,name\r\na,phone,\r\n\r\n\r\nb,phone,\"two\r\nlines\"\r\nC,phone,\r\n\"d\",phone,\n\nE,phone,\n";
        let PeopleError::Rows(rows) = read(list).unwrap_err() else {
            panic!("the list is read")
        };
        let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 7, 10], "{rows:?}");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert_eq!(read(b""), Err(PeopleError::Empty));
        assert_eq!(read(b"employee,device\n"), Err(PeopleError::Empty));
        assert_eq!(
            read(b"employee,name\na,b\n"),
            Err(PeopleError::MissingColumn("device"))
        );
        assert!(matches!(
            read(b"employee,device,phone\n"),
            Err(PeopleError::UnknownColumn(_))
        ));
        assert!(matches!(
            read(b"employee,device,device\n"),
            Err(PeopleError::RepeatedColumn(_))
        ));
        assert_eq!(
            read(b"employee,device,name\na,b,c\nm,n,M\xFCller\n"),
            Err(PeopleError::NotUtf8(3))
        );
    }
}
