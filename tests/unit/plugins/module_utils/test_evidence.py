# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evidence of a run, and what somebody might do to it afterwards."""

from __future__ import annotations

import json
import pathlib
import stat
import subprocess

import pytest
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import evidence_verify
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.report import make_report, write_evidence, write_report
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError
from fakes.region import FakeContext, Region
from fakes.runs import records, run_of

SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1-abc"


@pytest.fixture
def written(tmp_path):
    told = [*records("prod-one"), *records("../../etc/passwd", fails_in="fence")]
    told[0]["results"][0]["result"]["remarks"] = [f"reads {SECRET_ARN}", "\x1b[2J"]
    folder, digest = write_evidence(make_report(run_of("../../etc/passwd"), told), told, str(tmp_path / "evidence"))
    return pathlib.Path(folder), digest


def verify(folder, digest: str | None = None) -> dict:
    return evidence_verify.run(FakeContext(Region(), {"path": str(folder), "manifest_sha256": digest}))


def test_it_holds_before_and_after_who_and_what(written):
    folder, digest = written
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"MANIFEST.sha256", "run.json", "report.html", "report.md", "report.json"} | {
        f"topologies/001-prod-one/{name}.json" for name in ("before", "after", "checks", "steps")} | {
        f"topologies/002-______etc_passwd/{name}.json" for name in ("before", "after", "checks", "steps")}
    run = json.loads((folder / "run.json").read_text())
    assert run["callers"] == ["arn:aws:sts::111122223333:assumed-role/dbre/night"] and run["run"]["versions"]["ansible-core"]
    before, after = (json.loads((folder / f"topologies/001-prod-one/{name}.json").read_text()) for name in ("before", "after"))
    assert before["phase"] == "preflight" and after["phase"] == "report" and before["read_at"] < after["read_at"]
    assert before["instances"][0]["description"]["DBInstanceIdentifier"] == "prod-one"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*")) if path.is_dir()} == {0o700}
    assert SECRET_ARN not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert verify(folder)["good"] == len(names) - 1 and verify(folder, digest.upper())["manifest_sha256"] == digest
    done = subprocess.run(["sha256sum", "--check", "--quiet", "MANIFEST.sha256"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "other tools verify it, too"


def tamper_nothing(folder):
    (folder / "run.json").chmod(0o644)


def tamper_change(folder):
    path = folder / "topologies/001-prod-one/after.json"
    path.write_text(path.read_text().replace("false", "true", 1))


def tamper_remove(folder):
    (folder / "report.html").unlink()


def tamper_add(folder):
    (folder / "topologies/003-more").mkdir()
    (folder / "topologies/003-more/x.json").write_text("{}")


def tamper_link(folder):
    (folder / "run.json").rename(folder.parent / "run.json")
    (folder / "run.json").symlink_to(folder.parent / "run.json")


def tamper_swap(folder):
    one, other = folder / "report.md", folder / "report.json"
    texts = one.read_text(), other.read_text()
    one.write_text(texts[1])
    other.write_text(texts[0])


@pytest.mark.parametrize("tamper, altered, missing, added", [
    (tamper_nothing, [], [], []),
    (tamper_change, ["topologies/001-prod-one/after.json"], [], []),
    (tamper_remove, [], ["report.html"], []),
    (tamper_add, [], [], ["topologies/003-more/x.json"]),
    (tamper_link, ["run.json"], [], []),
    (tamper_swap, ["report.json", "report.md"], [], []),
], ids=lambda value: getattr(value, "__name__", ""))
def test_whatever_was_done_to_it_is_seen(written, tamper, altered, missing, added):
    tamper(written[0])
    if not (altered or missing or added):
        assert verify(*written)["altered"] == []
        return
    with pytest.raises(EncryptionError, match="is not what the run left there") as failure:
        verify(*written)
    assert (failure.value.facts["altered"], failure.value.facts["missing"], failure.value.facts["added"]) == (altered, missing, added)


def test_a_manifest_made_anew_is_seen_by_its_own_hash(written):
    folder, digest = written
    manifest = folder / "MANIFEST.sha256"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(EncryptionError, match="not the one that was noted"):
        verify(folder, digest)
    with pytest.raises(EncryptionError, match="added"):
        verify(folder)
    manifest.write_text("nonsense")
    with pytest.raises(EncryptionError, match="line 1, is no line of a manifest"):
        verify(folder)
    manifest.unlink()
    with pytest.raises(EncryptionError, match="cannot be read"):
        verify(folder)


def test_runs_at_the_same_second_have_folders_of_their_own(tmp_path):
    report = make_report(run_of(), records("x"))
    first, second = (write_report(report, str(tmp_path))[0] for _run in range(2))
    assert first != second and pathlib.Path(second).parent.name == "20261122T010000Z-encrypt-2"
