# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""AWS clients that share what botocore reads from its own files, and the credentials.

``boto3_conn`` of amazon.aws makes a session for each client, and each session reads the endpoints of all services and the model of RDS
anew: 0.15 s of CPU for a client, several clients for a task, dozens of tasks for a host.
"""

from __future__ import annotations

import functools

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError

try:
    import botocore.exceptions
    import botocore.loaders
    import botocore.session
    from botocore.config import Config
except ImportError:  # AnsibleAWSModule reports the missing library in words
    botocore = None

# What every task needs.
_DATA = ("endpoints", "partitions", "sdk-default-configuration", "_retry")
_MODELS = (("rds", "service-2"), ("rds", "endpoint-rule-set-1"), ("rds", "paginators-1"), ("kms", "service-2"), ("kms", "endpoint-rule-set-1"))
_AGENT = "Ansible dbre.rds_encryption"


class Session:
    """Where the clients of one task come from.

    :param profile: the name of a profile, or None for what the environment says.
    """

    def __init__(self, profile: str | None = None):
        self._core = botocore.session.Session(profile=profile)
        self._core.register_component("data_loader", _loader(self._core.get_config_variable("data_path")))

    def client(self, service: str, *, region: str | None, endpoint_url: str | None, config, **arguments):
        """A client, as ``boto3.client`` makes it.

        :param config: a ``botocore.config.Config``.
        :param arguments: ``verify`` and credentials.
        :raises EncryptionError: no client can be made of these.
        """
        config = Config(user_agent_extra=_AGENT).merge(config)
        return self._core.create_client(service, region_name=region, endpoint_url=endpoint_url, config=config, **arguments)


def make_client(sessions: dict, service: str, *, profile_name: str | None = None, **arguments):
    """A client of the session of its profile, which is made when it is not among ``sessions`` yet.

    :raises EncryptionError: no region is known, the profile does not exist, an endpoint is none.
    """
    try:
        if profile_name not in sessions:
            sessions[profile_name] = Session(profile_name)
        return sessions[profile_name].client(service, **arguments)
    except botocore.exceptions.NoRegionError:
        raise EncryptionError(
            "No region was found in the options, the environment or the configuration of AWS.",
            done="Nothing was asked.",
            next_step="give region, or export AWS_REGION.",
        ) from None
    except (ValueError, botocore.exceptions.BotoCoreError) as e:
        raise EncryptionError(f"Couldn't connect to AWS: {e}", done="Nothing was asked.", next_step="correct the connection options.") from None


@functools.lru_cache(maxsize=None)
def _loader(data_path: str | None):
    """What reads botocore's files, and remembers them."""
    return botocore.loaders.create_loader(data_path)


def read_ahead() -> None:
    """Read now what each of the processes forked later would read for itself; what cannot be read is left to them."""
    if botocore is None:
        return
    try:
        loader = _loader(botocore.session.Session().get_config_variable("data_path"))
        for name in _DATA:
            loader.load_data(name)
        for service, kind in _MODELS:
            loader.load_service_model(service, kind)
    except botocore.exceptions.BotoCoreError:
        pass
