//! `repot serve` over a sample app's model, and programs in other languages that talk to it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use repot_testkit::tools;
use serde_json::Value;

use crate::project::{Database, Project, databases, ran};

/// A server that is stopped with the value.
struct Served {
    url: String,
    project: Project,
    child: Child,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _stopped = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Served {
    /// The app's model over a database with nothing in it.
    fn start(app: &str, database: Database) -> Self {
        let project = Project::new(database);
        project.folder.write("repot.toml", std::fs::read(apps(app)).unwrap());
        // a model may ask for one database for each tenant, which is not done yet
        project.folder.write(".env", "DATABASE_URL=sqlite:///repot.db\n");
        let mut command = project.command(&["serve", "--listen", "127.0.0.1:0", "--json", "--disk-low", "0"]);
        command.env_remove("REPOT_LISTEN").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let url = format!("http://{}", first["address"].as_str().unwrap());
        Self { url, project, child }
    }

    /// Runs a program in the project's folder, which must end well and print this.
    fn run(&self, command: &mut Command, says: &str) {
        command.current_dir(self.project.folder.path()).env("REPOT_URL", &self.url);
        let ran = ran(&command.output().unwrap());
        assert!(ran.code == 0 && ran.out.contains(says), "{}: {}\n{}", self.url, ran.out, ran.err);
    }

    /// Copies a file of the tests or the examples into the project's folder.
    fn take(&self, path: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let name = from.file_name().unwrap();
        std::fs::copy(&from, self.project.folder.path().join(name)).unwrap();
    }

    fn document(&self) -> PathBuf {
        let printed = self.project.run(&["gen", "openapi"]).expect(0);
        self.project.folder.write("openapi.json", printed.out);
        self.project.path("openapi.json")
    }
}

fn apps(app: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps").join(app).join("repot.toml")
}

/// A program of the folder of the Python that was installed.
fn beside(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python.with_file_name(name));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_COLOR", "1");
    command
}

/// Requests made from the document, right ones and wrong ones: each is answered as the document says.
fn schemathesis(app: &str, database: Database) {
    let Some(python) = tools::python() else { return };
    let served = Served::start(app, database);
    served.take("crates/cli/tests/http/schemathesis.toml");
    served.take("crates/cli/tests/http/hooks.py");
    let mut command = beside(&python, "schemathesis");
    command.args(["run", &format!("{}/openapi.json", served.url), "--no-color", "--warnings", "off"]);
    // all phases; the same requests each time, unless there is time for others: then the seed stands in what it prints
    match repot_testkit::full() {
        true => command.args(["--max-examples", "20"]),
        false => command.args(["--max-examples", "2", "--seed", "7"]),
    };
    served.run(&mut command, "passed");
}

macro_rules! conforms {
    ($($sqlite:ident $postgres:ident $app:literal),+) => {
        $(#[test]
        fn $sqlite() {
            schemathesis($app, Database::Sqlite);
        }
        #[test]
        fn $postgres() {
            let Some(url) = repot_testkit::postgres::fresh_database() else { return };
            schemathesis($app, Database::Postgres(url));
        })+
    };
}

conforms!(
    clips_keeps_to_its_document_on_sqlite clips_keeps_to_its_document_on_postgres "clips",
    council_keeps_to_its_document_on_sqlite council_keeps_to_its_document_on_postgres "council",
    dramas_keeps_to_its_document_on_sqlite dramas_keeps_to_its_document_on_postgres "dramas",
    media_keeps_to_its_document_on_sqlite media_keeps_to_its_document_on_postgres "media",
    translation_keeps_to_its_document_on_sqlite translation_keeps_to_its_document_on_postgres "translation"
);

#[test]
fn a_python_program_runs_the_council_app() {
    if !crate::docs::python() {
        return;
    }
    for database in databases() {
        let served = Served::start("council", database);
        served.take("examples/http/council.py");
        served.run(Command::new("python3").arg("council.py"), "the eight functions work");
    }
}

/// Checks the types of a program and compiles it to JavaScript.
fn compile(served: &Served, modules: &Path, program: &str) {
    std::os::unix::fs::symlink(modules, served.project.path("node_modules")).unwrap();
    served.project.folder.write("package.json", r#"{"type": "module"}"#);
    let mut command = Command::new("node");
    command.arg("node_modules/typescript/bin/tsc").args([
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--types",
        "node",
        "--skipLibCheck",
    ]);
    served.run(command.arg(program), "");
}

#[test]
fn a_typescript_program_runs_the_translation_app() {
    let Some(modules) = tools::node_modules() else { return };
    for database in databases() {
        let served = Served::start("translation", database);
        served.take("examples/http/translation.ts");
        compile(&served, &modules, "translation.ts");
        served.run(Command::new("node").arg("translation.js"), "the repositories work");
    }
}

#[test]
fn openapi_typescript_makes_a_client() {
    let Some(modules) = tools::node_modules() else { return };
    let served = Served::start("dramas", Database::Sqlite);
    served.take("crates/cli/tests/http/client.ts");
    served.document();
    let generator = modules.join("openapi-typescript/bin/cli.js");
    served.run(Command::new("node").arg(generator).args(["openapi.json", "-o", "types.ts"]), "");
    compile(&served, &modules, "client.ts");
    served.run(Command::new("node").arg("client.js"), "the client works");
}

#[test]
fn openapi_python_client_makes_a_client() {
    let Some(python) = tools::python() else { return };
    let served = Served::start("dramas", Database::Sqlite);
    served.take("crates/cli/tests/http/client.py");
    served.take("crates/cli/tests/http/openapi-python-client.yaml");
    let document = served.document();
    let mut generator = beside(&python, "openapi-python-client");
    generator.args(["generate", "--meta", "none", "--output-path", "dramas_client"]);
    generator.args(["--config", "openapi-python-client.yaml", "--path"]).arg(document);
    served.run(&mut generator, "");
    served.run(Command::new(&python).arg("client.py"), "the client works");
}
