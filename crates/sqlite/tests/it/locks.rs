//! One copy at a time, whatever becomes of the other.

use std::process::{Command, Stdio};

use repot_core::{Kind, LockHolder, Target as _};

use crate::kit::World;

fn me(pid: u32) -> LockHolder {
    LockHolder { host: "box one".to_owned(), pid, since_ms: 1_709_294_400_000 }
}

#[test]
fn one_handle_at_a_time() {
    let mut world = World::new();
    world.target.lock(&me(123)).unwrap();
    world.target.lock(&me(123)).unwrap();
    let mut other = world.again();
    let error = other.lock(&me(456)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Locked, "R0701"));
    let path = world.path();
    assert_eq!(
        error.message(),
        format!(
            "another Repot (pid 123 on box one) has been copying into {} since 2024-03-01T12:00:00Z",
            path.display()
        )
    );
    drop(world.target);
    other.lock(&me(456)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_process_leaves_no_lock() {
    let mut world = World::new();
    let mut lock = world.path().into_os_string();
    lock.push(".lock");
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sh", "-c", "echo held; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock of util-linux is there");
    let mut said = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    let error = world.target.lock(&me(1)).unwrap_err();
    assert_eq!(error.code(), "R0701");
    assert!(error.message().starts_with("another Repot has been copying into"), "{error}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    world.target.lock(&me(1)).unwrap();
}
