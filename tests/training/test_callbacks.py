import tensorflow as tf

from easymft.training.callbacks import StepSummaries


def test_a_domain_named_all_is_not_the_total(tmp_path):
    StepSummaries(tmp_path).write_metrics(3, {"accuracy": 0.9, "accuracy_all": 0.8, "macro_f1_books": 0.7})
    (file,) = tmp_path.iterdir()
    events = (tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file)))
    found = {value.tag: round(float(tf.make_ndarray(value.tensor)), 3) for one in events for value in one.summary.value}
    assert found == {"dev_accuracy/all": 0.9, "dev_accuracy/all (domain)": 0.8, "dev_macro_f1/books": 0.7}


def test_tags_of_long_domain_names_are_cut_and_stay_different(tmp_path):
    metrics = {f"accuracy_{'x' * 300}{number}": 0.5 for number in (1, 2)}
    StepSummaries(tmp_path).write_metrics(3, metrics)
    (file,) = tmp_path.iterdir()
    events = (tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file)))
    tags = [value.tag for one in events for value in one.summary.value]
    assert tags == [f"dev_accuracy/{'x' * 26}…{'x' * 12}{number}" for number in (1, 2)]
