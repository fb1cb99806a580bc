"""What the cells of people's files hold: ids of messages, and chats in all the forms in which they are kept."""

from teachergrid.instructions import files


def test_message_id_is_a_hash_of_roles_and_contents():
    # printf '[["user","h\\u00e9"]]' | sha256sum
    assert files.message_id([{"role": "user", "content": "hé"}]) == "118247fcc709bc66"
    asked = [{"role": "user", "content": "sort"}]
    assert files.message_id(asked) != files.message_id([{"role": "system", "content": ""}, *asked])
