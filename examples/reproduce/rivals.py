"""Methods of other libraries, fitted to the folds of a corpus."""

import functools
import pickle
import time

import numpy as np
import torch
from sklearn.svm import SVC, LinearSVC
from torch_geometric.data import Data
from tqdm import tqdm

from examples.reproduce.accuracy import ROCKETS, count_weights, over_frames
from examples.reproduce.lite import LITEClassifier
from lgrin.features.speech import SAMPLING_RATE, read_audio
from lgrin.training import normalize_groups
from lgrin.transforms import Resample

TRANSDUCTIVE = ", scaled by speaker"
SHORTEST, LONGEST = 12, 1_500  # frames that methods for one length get
LONGEST_OF_SEVERAL = 200  # of several channels


def run_arrays(make, corpus, fold, seed):
    """Fits an estimator of arrays to a fold, on frames of one length."""
    several = corpus.sequences[0].num_features > 1
    longest = min(LONGEST_OF_SEVERAL if several else LONGEST, max(len(data.x) for data in corpus.sequences))
    longest = max(SHORTEST, longest)  # the filters of the rockets need so many
    X = torch.stack([Resample(longest)(data.clone()).x.T for data in corpus.sequences]).numpy()
    return fit_theirs(make(seed), X, corpus, fold)


def rocket(title, seed):
    """MiniRocket or MultiRocket-Hydra."""
    from aeon.classification import convolution_based

    return getattr(convolution_based, f"{title.replace('-', '')}Classifier")(random_state=seed)


def nearest_neighbour(seed):
    """The nearest neighbour under dynamic time warping, within a tenth of the length."""
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    return KNeighborsTimeSeriesClassifier(n_neighbors=1, distance="dtw", distance_params={"window": 0.1})


def run_functionals(feature_set, make, corpus, fold, seed):
    """Fits an SVM to functionals of whole clips."""
    return fit_theirs(make(), functionals(corpus, feature_set), corpus, fold)


def is_transductive(corpus):
    """Whether the features of a corpus are scaled by speaker, test speakers too."""
    return TRANSDUCTIVE in corpus.name


@functools.cache
def functionals_of(files, feature_set):
    """One of openSMILE's sets of functionals of files, ``[n, F]``."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    return np.stack([smile(read_audio(path)[None], SAMPLING_RATE).ravel() for path in tqdm(files, desc=feature_set)])


def functionals(corpus, feature_set):
    """The same of a corpus, scaled by speaker where its frames are."""
    found = functionals_of(corpus.files, feature_set)
    if not is_transductive(corpus):
        return found
    pairs = zip(found, corpus.sequences, strict=True)
    whole = [Data(x=torch.from_numpy(x[None]), y=one.y, group=one.group) for x, one in pairs]
    return torch.cat([one.x for one in normalize_groups(whole)]).numpy()


def fit_theirs(classifier, X, corpus, fold):
    """Fits another library's estimator to features scaled by the training sequences."""
    y = np.array([int(data.y) for data in corpus.sequences])
    mean, deviation = over_frames(X[fold.train])
    X = (X - mean) / deviation
    start = time.process_time()
    classifier.fit(X[fold.train], y[fold.train])
    seconds = time.process_time() - start
    correct = classifier.predict(X[fold.test]) == y[fold.test]
    weights = getattr(classifier, "weights_", None) or count_weights(classifier)
    weights = weights or (classifier.coef_.size if hasattr(classifier, "coef_") else 0)
    size = round(len(pickle.dumps(classifier)) / 1000)
    return {"correct": correct.tolist(), "loss": None, "seconds": seconds, "fitted": weights, "kB": size}


THEIRS = {
    **{title: functools.partial(run_arrays, functools.partial(rocket, title)) for title in ROCKETS},
    "1-NN DTW": functools.partial(run_arrays, nearest_neighbour),
    "LITE": functools.partial(run_arrays, LITEClassifier),
}
OF_SPEECH = {
    title: functools.partial(run_functionals, feature_set, make)
    for title, feature_set, make in (
        ("IS09 functionals, SVM", "IS09", functools.partial(SVC, C=3)),
        (
            "ComParE functionals, linear SVM, one against the rest",
            "ComParE_2016",
            functools.partial(LinearSVC, C=0.001, max_iter=10_000),
        ),
        (
            "ComParE functionals, linear SVM, one against one",
            "ComParE_2016",
            functools.partial(SVC, kernel="linear", C=0.001, max_iter=10_000),
        ),
    )
}
