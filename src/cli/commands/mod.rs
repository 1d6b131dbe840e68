//! The commands of `pki`, a file for each verb: its doc comment is its help, its `Args` are its flags, and
//! one function runs it.

pub mod audit;
pub mod backup;
pub mod ca;
pub mod check;
pub mod completions;
pub mod config;
pub mod config_material;
pub mod config_server;
pub mod doctor;
pub mod fetch;
pub mod forecast;
pub mod hmac;
pub mod init;
pub mod invite;
pub mod issue;
pub mod issue_list;
pub mod issue_many;
pub mod issue_one;
pub mod list;
pub mod passphrase;
pub mod pins;
pub mod publish;
pub mod renew;
pub mod renew_own;
pub mod renewal;
pub mod restore;
pub mod revoke;
pub mod root;
pub mod serve;
pub mod server;
pub mod show;
pub mod sign_request;
