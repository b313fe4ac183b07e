"""The link `roles` is for Ansible, which looks beside a playbook. Their tests are run in roles/."""

collect_ignore = ["roles"]
