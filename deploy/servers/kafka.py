"""Apache Kafka as one KRaft process, broker and controller."""

import os
import pathlib
import shutil
import socket
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode

from servers.process import Failure, Server, run, tail

DEPLOY = pathlib.Path(__file__).resolve().parent.parent


def cache_env():
    """Where `deploy/setup` put things."""
    out = subprocess.run([DEPLOY / "setup", "--print-env"], check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in out.splitlines())


class Kafka(Server):
    name = "kafka"
    more = {}  # properties that replace those of the file or are added to them, such as listeners with TLS
    users = {}  # passwords by name, for SASL with SCRAM; made with the data

    def __init__(self, folder, ports):
        super().__init__(folder, ports)
        self.home = folder / "kafka"
        self.properties = self.home / "server.properties"

    def owns(self, argv):
        return "kafka.Kafka" in argv and argv[-1] == str(self.properties)

    def java(self, main, *args):
        jars = os.environ.get("TICKCAST_KAFKA_JARS") or cache_env()["TICKCAST_KAFKA_JARS"]
        if not os.path.isdir(jars):
            raise Failure("the Kafka jars are not there: run `make setup`")
        logging = [f"-Dlog4j2.configurationFile={DEPLOY}/kafka/log4j2.properties", f"-Dtickcast.kafka.log={self.home}/server.log"]
        return ["java", "-Xms128m", "-Xmx512m", "-Djava.awt.headless=true", *logging, "-cp", f"{jars}/*", main, *args]

    def start(self):
        self.home.mkdir(exist_ok=True)
        node = (DEPLOY / "kafka/server.properties").read_text()
        for key, value in (("PORT", self.port), ("CONTROLLER", self.ports["controller"]), ("DATA", self.home / "data")):
            node = node.replace(f"@{key}@", str(value))
        self.properties.write_text(node + "".join(f"{key}={value}\n" for key, value in self.more.items()))
        formatted = self.home / "formatted"
        if not formatted.exists():
            shutil.rmtree(self.home / "data", ignore_errors=True)
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            kinds = ("SCRAM-SHA-256", "SCRAM-SHA-512")
            users = [f"--add-scram={kind}=[name={name},password={word}]" for name, word in self.users.items() for kind in kinds]
            tool = self.java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self.properties), *users)
            run([*tool[:1], "-XX:TieredStopAtLevel=1", *tool[1:]], self.log)
            formatted.touch()
        self.spawn(self.java("kafka.Kafka", str(self.properties)))

    def answers(self):
        """Whether the broker names itself in a metadata reply (version 1, no topics): from then on it takes topics and transactions."""
        request = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as peer:
                peer.settimeout(5)
                peer.sendall(struct.pack(">i", len(request)) + request)
                with peer.makefile("rb") as reply:
                    size, _, brokers = struct.unpack(">iii", reply.read(12))
                    return size > 8 and brokers > 0
        except (OSError, struct.error):
            return False

    def last_words(self):
        return f"{tail(self.home / 'server.log')}\n{tail(self.log)}"

    def env(self):
        return {"TICKCAST__KAFKA__BROKERS": f"127.0.0.1:{self.port}"}
