//! What comes of damaged notes and lists of people: nothing, a refusal, or what they say.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::publishing::doubt::Doubts;
use super::publishing::owed::Owed;
use super::publishing::reached::Reached;
use super::{read_people, residence, timer};
use crate::fuzz::{self, seeds};

/// Whether a note of this kind is read. What it says is said again in the same way.
fn reads_back<T: DeserializeOwned + Serialize + Debug>(text: &[u8]) -> bool {
    let Ok(note) = serde_json::from_slice::<T>(text) else {
        return false;
    };
    let written = serde_json::to_vec(&note).unwrap();
    let again = serde_json::from_slice::<T>(&written).unwrap();
    assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    true
}

#[test]
fn what_is_owed() {
    let owed = r#"{"version":1,"places":{"/srv/pki":"0123456789ab"},"servers":["api.acme.example"],
        "list":{"path":"/root/passphrases.csv","from":18446744073709551615,"seq":7}}"#;
    fuzz::damaged(&[owed], reads_back::<Owed>);
}

#[test]
fn what_is_in_doubt() {
    let serial = "1F000102030405060708090A0B0C0D0E";
    let doubts = format!(
        r#"{{"version":1,"emptied":["/srv/pki"],"leavers":["alice"],"own":[1,2],"unsigned":[
        {{"place":"/srv/pki","says":{{"accepted":["{serial}","alice/phone"]}}}},
        {{"place":"/srv/pki","says":{{"revoked":"{serial}"}}}}]}}"#
    );
    fuzz::damaged(&[doubts], reads_back::<Doubts>);
}

#[test]
fn what_was_reached() {
    let pin = crate::model::Pin([7; 32]);
    let reached = format!(
        r#"{{"version":1,"places":{{"/srv/pki":{{"{pin}":"2027-01-15T08:00:00Z"}},"s3://a":{{}}}}}}"#
    );
    fuzz::damaged(&[reached], reads_back::<Reached>);
}

#[test]
fn what_was_told_and_where_the_home_lives() {
    let told =
        r#"{"version":1,"ran":"2027-01-15T08:00:00Z","told":{"at":"2027-01-15T08:00:00Z","list":"0"}}"#;
    fuzz::damaged(&[told], reads_back::<timer::Memory>);
    let lives = r#"{"version":1,"path":"/root/pki","machine":"0123"}"#;
    fuzz::damaged(&[lives], reads_back::<residence::Residence>);
}

#[test]
fn lists_of_people() {
    let device = "phone".parse().unwrap();
    let lists = [
        "employee,device,name,email,for,days\nalice,phone,\"Doe, Alice\",alice@acme.example,ios,30\nbob,,,,,\n",
        "\u{feff}sep=,\r\nEmployee,Device,NAME,\r\nalice,phone,Zoë,\r\n,,,\r\nbob,,\"B\n\",\r\n",
    ];
    fuzz::damaged(&lists, |octets| match read_people(octets, &device) {
        Ok(people) => {
            let lines = octets
                .iter()
                .filter(|octet| **octet == b'\n' || **octet == b'\r')
                .count() as u64;
            for person in &people {
                assert!((1..=lines + 1).contains(&person.line), "line {}", person.line);
            }
            !people.is_empty()
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
    });
    fuzz::damaged(&seeds::files("csv"), |octets| {
        let _ = read_people(octets, &device).map_err(|why| why.to_string());
        true
    });
}
