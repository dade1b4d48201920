//! What can be done.

mod inspect;
mod secrets;
mod sessions;
mod whole_store;

use crate::arguments::Command;
use crate::failure::Failure;
use crate::output::Answer;

pub(crate) async fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Keygen => secrets::keygen(),
        Command::List(arguments) => sessions::list(&arguments).await,
        Command::Show(arguments) => sessions::show(&arguments).await,
        Command::End(arguments) => sessions::end(&arguments).await,
        Command::EndAll(arguments) => sessions::end_all(&arguments).await,
        Command::Sweep(arguments) => whole_store::sweep(&arguments).await,
        Command::Stats(arguments) => whole_store::stats(&arguments).await,
        Command::Inspect(arguments) => inspect::inspect(&arguments).await,
        Command::Rotate(arguments) => secrets::rotate(&arguments),
    }
}
