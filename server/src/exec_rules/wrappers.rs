//! Programs that run whatever they are told: shells, interpreters, and what starts other programs.

/// By their names without a version (`python3.12` is `python`). Among the harmless options of each are some that run
/// any program (`tar --to-command`, `git -c`), so that a yes to one command says nothing about the next.
const NAMES: &str = "\
    ash at awk bash batch bun bunx busybox bwrap cargo chroot chrt cmake cpulimit csh dash dbus-run-session deno \
    direnv doas docker ed elvish emacs entr env ex expect fakeroot fd find firejail fish flatpak flock gawk gdb \
    git go gradle guile hyperfine ionice irb java jshell julia just ksh kubectl ld.so less ltrace lua luajit \
    make man mawk mksh more mvn nano nawk nerdctl nice nix nix-shell node nodejs nohup npm npx nsenter nvim \
    osascript parallel perf perl php pip pipx pkexec pnpm podman poetry prlimit proot psql pwsh pypy python rake \
    rbash rlwrap rscript rsync ruby run-parts runuser rvim scp screen script sed setarch setpriv setsid sftp sg \
    sh snap socat sqlite ssh sshpass start-stop-daemon stdbuf strace su sudo systemd-run tar taskset tclsh tcsh \
    time timeout tmux toybox ts-node tsx unshare unzip uv uvx valgrind vi view vim vimdiff watch watchexec wish \
    xargs xonsh yarn zip zsh";

/// Does a program of this name run whatever it is told? The name is the last part of a path.
#[must_use]
pub fn runs_anything(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = name
        .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
        .trim_end_matches('-');
    NAMES
        .split_ascii_whitespace()
        .any(|known| known == name || known == bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for name in [
            "sh",
            "bash",
            "BASH",
            "python",
            "python3",
            "python3.12",
            "php8.2",
            "lua5.4",
            "node-18",
            "timeout",
            "find",
            "git",
            "systemd-run",
            "vim",
            "uv",
        ] {
            assert!(runs_anything(name), "{name}");
        }
        for name in [
            "ls", "cat", "grep", "", "3", "jq", "shasum", "pythonx", "gh", "curl", "sort",
        ] {
            assert!(!runs_anything(name), "{name}");
        }
    }
}
