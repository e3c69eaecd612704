"""PostgreSQL, and pgbouncer in front of it. As root they run as the user `postgres`, for they refuse root."""

import hashlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess

from servers.process import GRACE, Failure, Server, identity, processes, run, say, wait


def program(name):
    """A program of PostgreSQL: Debian keeps the server's outside PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    versions = pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    inner = sorted(versions, key=lambda p: float(p.parts[4]))
    if not (found or inner):
        raise Failure(f"no `{name}` on this machine: run `make setup` (pgbouncer: `deploy/setup --test`)")
    return str(inner[-1]) if inner else found


def server_user():
    """Whom PostgreSQL runs as: it refuses root, whose stand-in is the user that Debian's package made."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise Failure("PostgreSQL refuses to run as root and there is no user `postgres`: useradd --system postgres") from None


class Postgres(Server):
    name = "postgres"
    stop_signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)  # fast shutdown, immediate shutdown

    def __init__(self, folder, ports):
        super().__init__(folder, ports)
        self.elsewhere = folder / "postgres.elsewhere"  # names the data folder when it is not DIR/postgres

    @property
    def home(self):
        return pathlib.Path(self.elsewhere.read_text().strip()) if self.elsewhere.exists() else self.folder / "postgres"

    def owns(self, argv):
        return os.path.basename(argv[0]) == "postgres" and "-D" in argv and str(self.home / "data") in argv

    def make_home(self, owner):
        """DIR/postgres, or, when DIR lies where the server's user may not go (under /root), a folder under /var/tmp."""
        home = self.folder / "postgres"
        home.mkdir(mode=0o700, exist_ok=True)
        if owner is None:
            return
        os.chown(home, owner.pw_uid, owner.pw_gid)
        if subprocess.run(["test", "-w", home], check=False, cwd="/", **identity(owner)).returncode == 0:
            return
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        home.rmdir()
        home = pathlib.Path(f"/var/tmp/tickcast-{os.geteuid()}-{digest}")
        say(f"user {owner.pw_name} may not enter {self.folder}: PostgreSQL's data go to {home}")
        shutil.rmtree(home, ignore_errors=True)  # of a DIR that was deleted: its Kafka is gone, so are its rows
        home.mkdir(mode=0o700)
        os.chown(home, owner.pw_uid, owner.pw_gid)
        self.elsewhere.write_text(f"{home}\n")

    def orphans(self):
        """Back ends of a killed server; they end by themselves, and until then its memory is in use."""
        data = str(self.home / "data")
        return [pid for pid, argv in processes() if argv[0].startswith("postgres") and working_dir(pid) == data]

    def start(self):
        owner = server_user()
        if not self.elsewhere.exists():
            self.make_home(owner)
        data = self.home / "data"
        if not (self.home / "made").exists():
            shutil.rmtree(data, ignore_errors=True)
            auth = ["-U", "tickcast", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
            run([program("initdb"), "-D", str(data), *auth], self.log, owner)
        if not wait(lambda: not self.orphans(), GRACE):
            raise Failure(f"processes {self.orphans()} of the last PostgreSQL still use {data}: end them, then run this again")
        (data / "postmaster.pid").unlink(missing_ok=True)  # nobody is left; its pid may be another program's by now
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 60,
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "jit": "off",
            "max_wal_size": "512MB",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        self.spawn([program("postgres"), "-D", str(data), *options], owner)

    def finish(self):
        super().finish()
        made = self.home / "made"
        if not made.exists():
            run([program("psql"), "-X", "-q", self.url("postgres"), "-c", "CREATE DATABASE tickcast"], self.log)
            made.touch()

    def url(self, database="tickcast"):
        return f"postgres://tickcast@127.0.0.1:{self.port}/{database}"

    def answers(self):
        probe = [program("psql"), "-X", "-q", self.url("postgres"), "-c", "SELECT 1"]
        environment = {**os.environ, "PGCONNECT_TIMEOUT": "5"}
        return subprocess.run(probe, check=False, stdin=subprocess.DEVNULL, capture_output=True, env=environment).returncode == 0

    def wipe(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.elsewhere.unlink(missing_ok=True)

    def env(self):
        return {"TICKCAST__POSTGRES__URL": self.url()}


def working_dir(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


class Pgbouncer(Server):
    """In transaction mode, where a session's state does not outlive a transaction: what tickcast must put up with."""

    name = "pgbouncer"

    def __init__(self, folder, ports):
        super().__init__(folder, ports)
        self.postgres = Postgres(folder, ports)

    @property
    def settings(self):
        return self.postgres.home / "pgbouncer.ini"  # where the user it runs as may read

    def owns(self, argv):
        return os.path.basename(argv[0]) == "pgbouncer" and str(self.settings) in argv

    def start(self):
        self.settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.postgres.port} user=tickcast\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            "pool_mode = transaction\ndefault_pool_size = 10\nmax_client_conn = 100\nignore_startup_parameters = extra_float_digits\n"
        )
        owner = server_user()
        if owner:
            os.chown(self.settings, owner.pw_uid, owner.pw_gid)
        self.spawn([program("pgbouncer"), str(self.settings)], owner)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 2).close()
        except OSError:
            return False
        return True

    def wipe(self):
        pass  # its one file lies with PostgreSQL's

    def env(self):
        return {"TICKCAST_TEST_PGBOUNCER_URL": f"postgres://tickcast@127.0.0.1:{self.port}/tickcast"}
