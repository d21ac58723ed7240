"""Versions of models, aliases that move between them, and how they are published and cleaned up.

What lies at the URL of a registry; records are JSON, name their kind and format, and hold their
hash:

    versions/000017.json          which run published what: written once, if absent
    models/<run>-<hash>/          the model of a version, a manifest of its files, attachments/
    aliases/champion/000003.json  the third move of an alias: written once, if absent
    tags/000017/<tag>.json        a tag that was set or removed after publishing
    runs/<run>.json               that a run began to publish, so that it gets one version
    removed/000017.json           that the files of a version were cleaned up
    registry.json                 whether the store keeps writers apart
"""
