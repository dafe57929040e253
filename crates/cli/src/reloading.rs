//! The model's file while a server runs: looked at now and then and at SIGHUP; additions are taken over, everything else is refused
//! aloud, and the server goes on with the model that it has.

use std::convert::Infallible;
use std::time::Duration;

use repot::Repot;
use repot_core::{Error, Kind};
use repot_server::{Ended, Models};
use serde_json::json;
use tokio::signal::unix::Signal;

use crate::args::{Global, Serve};
use crate::commands::{inner, serve};
use crate::errors::Failure;
use crate::log::{self, LogStyle};
use crate::output::Output;
use crate::wiring::Project;

/// How often the file is looked at.
const LOOKED: Duration = Duration::from_secs(2);

/// What is in force, and what was seen of the file.
#[derive(Debug)]
pub(crate) struct Reloading<'a> {
    pub global: &'a Global,
    pub serve: &'a Serve,
    /// The project whose model is in force.
    pub project: Project,
    /// The text that was last read, whether it was taken over or not.
    pub read: String,
}

impl Reloading<'_> {
    /// Whether the emergency brake is pulled.
    pub(crate) fn brakes(&self) -> bool {
        crate::serving::brakes(&self.project)
    }

    /// Looks until it is dropped. `hangups` is listened for before anybody knows that the server is there: without a listener the
    /// signal ends the process.
    pub(crate) async fn run(
        mut self,
        mut repot: Repot,
        models: Models,
        mut hangups: Signal,
        (style, output): (LogStyle, &Output),
    ) -> Infallible {
        loop {
            let told = tokio::select! {
                _ = hangups.recv() => true,
                () = tokio::time::sleep(LOOKED) => false,
            };
            match self.look(told, &repot, &models).await {
                Ok(None) => {}
                Ok(Some((new, ended))) => {
                    let old = std::mem::replace(&mut repot, new);
                    say(style, output, None);
                    tokio::spawn(async move {
                        ended.wait().await;
                        // its threads are waited for, which no thread that serves may do
                        tokio::task::spawn_blocking(move || drop(old));
                    });
                }
                Err(error) => {
                    say(style, output, Some(&error));
                    models.refuse(Some(error));
                }
            }
        }
    }

    /// Takes the file over if it changed; `told`: also looks again at one that was refused.
    async fn look(
        &mut self,
        told: bool,
        repot: &Repot,
        models: &Models,
    ) -> Result<Option<(Repot, Ended)>, Error> {
        let text = match crate::wiring::model_text(self.global) {
            Ok(text) => text,
            // it is being written, perhaps; who says it is whole is told why it is not
            Err(_unread) if !told && self.read.is_empty() => return Ok(None),
            Err(error) => {
                self.read.clear();
                return Err(error);
            }
        };
        if text == self.read && !told {
            return Ok(None);
        }
        self.read.clone_from(&text);
        if text == self.project.text && !told {
            models.refuse(None);
            return Ok(None);
        }
        let project = Project::open(self.global).map_err(Failure::into_error)?;
        let config = serve::config(&project, self.serve).map_err(Failure::into_error)?;
        let before = serve::config(&self.project, self.serve).map_err(Failure::into_error)?;
        if config.url != before.url {
            return Err(Error::new(Kind::Refused, "R0451", "the documents would be somewhere else")
                .hint("Start the server again to serve another store."));
        }
        if project.model.settings.auth != self.project.model.settings.auth {
            return Err(Error::new(Kind::Refused, "R0451", "other tokens (JWT) would be taken")
                .hint("Start the server again to take them."));
        }
        let new = repot.with_model(config).await.map_err(inner).map_err(Failure::into_error)?;
        let ended = models.replace(new.store(), new.layout().clone())?;
        self.project = project;
        Ok(Some((new, ended)))
    }
}

fn say(style: LogStyle, output: &Output, refused: Option<&Error>) {
    let (name, fields) = match refused {
        None => ("model", vec![("taken", json!(true))]),
        Some(error) => (
            "model",
            vec![
                ("taken", json!(false)),
                ("code", json!(error.code())),
                ("message", json!(error.message())),
                ("hint", json!(error.next_step())),
            ],
        ),
    };
    match (log::event(style, name, &fields), refused) {
        (Some(line), _) => output.say(&line),
        (None, None) => output.say("Model      the changed model is in force"),
        (None, Some(error)) => {
            output.say(&format!("Model      not taken over, {}: {}", error.code(), error.message()));
        }
    }
}
