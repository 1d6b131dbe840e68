//! Adds many certificates to a home's ledger, for measuring: `fleet HOME COUNT valid|revoked`. What is
//! measured with them is the ledger, the index and the publication, not signing.

#[path = "../support/fleet.rs"]
mod support;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, count, state] = arguments.as_slice() else {
        return Err("usage: fleet HOME COUNT valid|revoked".into());
    };
    support::fill(home.as_ref(), count.parse()?, state == "revoked")
}
