//! The contract: what Open Humans promises, endpoint by endpoint, as the API client needs it.
//!
//! Against the sandbox as it stands, each test with one of its own. Against a real server where
//! the environment names one:
//!
//! | variable | |
//! |---|---|
//! | `OH_CONTRACT_BASE_URL` | the server; the others are wanted only with this one |
//! | `OH_CONTRACT_CLIENT_ID` | the project's client id |
//! | `OH_CONTRACT_CLIENT_SECRET` | its client secret |
//! | `OH_CONTRACT_MASTER_TOKEN` | its master token |
//! | `OH_CONTRACT_REDIRECT_URI` | its redirect URI |
//! | `OH_CONTRACT_AUTHORIZE` | a command that is given an authorization URL and prints the URL the browser ends at |
//!
//! The tests then run one after the other, as the one member the command authorizes. The server is
//! left as it was found: files that were not there before are deleted, the member who was removed
//! is back, tokens are revoked. What cannot be taken back is one message to that member for each
//! test that sends one, and that the member takes part in the project. Tests of faults are the sandbox's alone.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod bulk;
mod faults;
mod files;
mod job;
mod lists;
mod members;
mod oauth;
mod public;
mod recorded;
mod recorder;
mod world;
